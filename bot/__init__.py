"""Everything that a plugin needs: `from bot import Plugin, command, Context, Reply`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bot.chore import repeat
from bot.command import Command
from bot.context import Context
from bot.delivery import closing, cut_line, ellipsis
from bot.errors import Busy, UserError
from bot.message import (
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
from bot.one_thread import OneThread
from bot.option import Choice, Range
from bot.plugin import Host, Plugin
from bot.setting import Changed, Scope, Setting
from bot.signature import autocomplete, command, message_command

if TYPE_CHECKING:
    from bot.audit import AuditRow
    from bot.audit import Filter as AuditFilter
    from bot.statistics import Figures
    from bot.store import Store

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
    "AuditFilter": ("audit", "Filter"),
    "AuditRow": ("audit", "AuditRow"),
    "Figures": ("statistics", "Figures"),
    "Store": ("store", "Store"),
}
"""What brings the database with it, which takes its time and which most who import this do without."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module “bot” has no “{name}”")
    module, real = LATER[name]
    return getattr(import_module(f"bot.{module}"), real)
