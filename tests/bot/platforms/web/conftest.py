"""A visitor who may do what moderators do."""

import pytest
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor

from bot.app import Bot


@pytest.fixture
async def teacher(bot: Bot, ann: Visitor) -> Visitor:
    """Ann, who has signed in as a teacher called Ada."""
    return await become_teacher(bot, ann)
