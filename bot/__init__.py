"""Everything that a plugin needs: `from bot import Plugin, command, Context, Reply`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bot.answers.context import Context
from bot.commands.command import Command
from bot.commands.decorators import autocomplete, command, message_command
from bot.commands.option import Choice, Range
from bot.core.background import OneThread, repeat
from bot.core.errors import Busy, UserError
from bot.core.messages import (
    Asked,
    Attachment,
    Button,
    Channel,
    Column,
    Known,
    Made,
    Page,
    Part,
    Person,
    Place,
    Reply,
    Role,
    User,
)
from bot.core.model_events import (
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
from bot.core.splitting import closing, cut_line, ellipsis
from bot.inference.client import ModelClient
from bot.plugin_host.plugin import Host, Plugin
from bot.settings.setting import Changed, Scope, Setting

if TYPE_CHECKING:
    from bot.moderation.statistics import Figures
    from bot.storage.audit import AuditRow
    from bot.storage.audit import Filter as AuditFilter
    from bot.storage.key_value import Store

__all__ = [
    "Answered",
    "Asked",
    "Attachment",
    "AuditFilter",
    "AuditRow",
    "Busy",
    "Button",
    "Candidate",
    "Changed",
    "Channel",
    "Choice",
    "Column",
    "Command",
    "Context",
    "Delta",
    "Dial",
    "Drawn",
    "Figures",
    "Host",
    "Known",
    "Likely",
    "Made",
    "ModelClient",
    "OneThread",
    "Page",
    "Part",
    "Person",
    "Pictures",
    "Place",
    "Plugin",
    "Preview",
    "Range",
    "Reply",
    "Role",
    "Scope",
    "Setting",
    "Step",
    "Store",
    "Token",
    "Turn",
    "User",
    "UserError",
    "Waiting",
    "autocomplete",
    "closing",
    "command",
    "cut_line",
    "ellipsis",
    "message_command",
    "new_seed",
    "repeat",
]


LATER = {
    "AuditFilter": ("storage.audit", "Filter"),
    "AuditRow": ("storage.audit", "AuditRow"),
    "Figures": ("moderation.statistics", "Figures"),
    "Store": ("storage.key_value", "Store"),
}
"""What brings the database with it, which takes its time and which most who import this do without."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module “bot” has no “{name}”")
    module, real = LATER[name]
    return getattr(import_module(f"bot.{module}"), real)
