"""Everything that a plugin needs: `from bot import Plugin, command, Context, Reply`."""

from bot.command import Command, autocomplete, command, message_command
from bot.context import Context
from bot.errors import UserError
from bot.message import Attachment, Button, Channel, Made, Reply, Role, User
from bot.model_client import ModelClient
from bot.model_events import Answered, Delta, Drawn, Pictures, Preview, Step, Turn, Waiting, new_seed
from bot.option import Choice, Range
from bot.plugin import Plugin
from bot.settings import Setting

__all__ = [
    "Answered",
    "Attachment",
    "Button",
    "Channel",
    "Choice",
    "Command",
    "Context",
    "Delta",
    "Drawn",
    "Made",
    "ModelClient",
    "Pictures",
    "Plugin",
    "Preview",
    "Range",
    "Reply",
    "Role",
    "Setting",
    "Step",
    "Turn",
    "User",
    "UserError",
    "Waiting",
    "autocomplete",
    "command",
    "message_command",
    "new_seed",
]
