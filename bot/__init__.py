"""Everything that a plugin needs: `from bot import Plugin, command, Context, Reply`."""

from bot.command import Command, autocomplete, command, message_command
from bot.context import Context
from bot.errors import UserError
from bot.message import Attachment, Button, Channel, Known, Made, Page, Part, Place, Reply, Role, User
from bot.model_client import ModelClient
from bot.model_events import (
    Answered,
    Candidate,
    Delta,
    Dial,
    Drawn,
    Likely,
    Pictures,
    Preview,
    Step,
    Token,
    Turn,
    Waiting,
    new_seed,
)
from bot.option import Choice, Range
from bot.plugin import Host, Plugin
from bot.settings import Setting
from bot.store import Store

__all__ = [
    "Answered",
    "Attachment",
    "Button",
    "Candidate",
    "Channel",
    "Choice",
    "Command",
    "Context",
    "Delta",
    "Dial",
    "Drawn",
    "Host",
    "Known",
    "Likely",
    "Made",
    "ModelClient",
    "Page",
    "Part",
    "Pictures",
    "Place",
    "Plugin",
    "Preview",
    "Range",
    "Reply",
    "Role",
    "Setting",
    "Step",
    "Store",
    "Token",
    "Turn",
    "User",
    "UserError",
    "Waiting",
    "autocomplete",
    "command",
    "message_command",
    "new_seed",
]
