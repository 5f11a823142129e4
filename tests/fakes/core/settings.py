"""Settings as moderators change them."""

from typing import Any

from fakes.core.requests import MODERATOR

from bot.core.messages import User
from bot.settings.resolver import Settings
from bot.settings.setting import Scope

SCHOOL = Scope("test", "school")
"""The server of `ROOM` (requests.py)."""
WEB = Scope("web", "web")
"""The whole web chat."""


async def put(settings: Settings, name: str, value: Any, scope: Scope = SCHOOL, actor: User = MODERATOR) -> None:
    """Change one setting."""
    await settings.write([settings.make_change(name, value, scope)], actor)
