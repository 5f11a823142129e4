"""The names that plugins use: `from bot import Plugin, command, Context, Reply`."""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bot.answers.context import Context
from bot.commands.command import Command
from bot.commands.decorators import autocomplete, command, message_command
from bot.commands.grammar import unquote
from bot.commands.option import Choice, Numbers, Range
from bot.core.background import SerialExecutor, repeat, until_stored
from bot.core.caller import Caller
from bot.core.child_process import ChildFailed, answer_as_child, read_child_answer, run_child
from bot.core.errors import Busy, DatabaseUnavailable, UserError
from bot.core.i18n import Sentence, language_code, translate
from bot.core.messages import (
    Attachment,
    Button,
    Channel,
    Column,
    Document,
    Page,
    Part,
    Person,
    Place,
    Provenance,
    ReadFile,
    Reference,
    RemoteFile,
    Reply,
    Role,
    Shelf,
    StoredQuestion,
    User,
    add_texts,
)
from bot.core.model_events import (
    Answered,
    Candidate,
    Delta,
    Dial,
    Drawn,
    DuelSheet,
    FaceTraining,
    LikelyToken,
    Pictures,
    Preview,
    QueueState,
    Step,
    Token,
    Turn,
    Waiting,
)
from bot.core.splitting import closing, cut_line, ellipsis
from bot.inference.client import ModelClient
from bot.plugin_host.plugin import Host, Plugin
from bot.provenance.findings import PictureFindings
from bot.settings.setting import Changed, Scope, Setting
from http_server.wire import NearestDrawing, ReferenceDrawing, new_seed

if TYPE_CHECKING:
    from bot.moderation.audit_view import plain_name
    from bot.moderation.statistics import UsageStatistics
    from bot.storage.audit import AuditFilter, AuditRow
    from bot.storage.key_value import Store

__all__ = [
    "Answered",
    "Attachment",
    "AuditFilter",
    "AuditRow",
    "Busy",
    "Button",
    "Caller",
    "Candidate",
    "Changed",
    "Channel",
    "ChildFailed",
    "Choice",
    "Column",
    "Command",
    "Context",
    "DatabaseUnavailable",
    "Delta",
    "Dial",
    "Document",
    "Drawn",
    "DuelSheet",
    "FaceTraining",
    "Host",
    "LikelyToken",
    "ModelClient",
    "NearestDrawing",
    "Numbers",
    "Page",
    "Part",
    "Person",
    "PictureFindings",
    "Pictures",
    "Place",
    "Plugin",
    "Preview",
    "Provenance",
    "QueueState",
    "Range",
    "ReadFile",
    "Reference",
    "ReferenceDrawing",
    "RemoteFile",
    "Reply",
    "Role",
    "Scope",
    "Sentence",
    "SerialExecutor",
    "Setting",
    "Shelf",
    "Step",
    "Store",
    "StoredQuestion",
    "Token",
    "Turn",
    "UsageStatistics",
    "User",
    "UserError",
    "Waiting",
    "add_texts",
    "answer_as_child",
    "autocomplete",
    "closing",
    "command",
    "cut_line",
    "ellipsis",
    "language_code",
    "message_command",
    "new_seed",
    "plain_name",
    "read_child_answer",
    "repeat",
    "run_child",
    "translate",
    "unquote",
    "until_stored",
]


LATER = {
    "AuditFilter": "storage.audit",
    "AuditRow": "storage.audit",
    "Store": "storage.key_value",
    "UsageStatistics": "moderation.statistics",
    "plain_name": "moderation.audit_view",
}
"""Names whose modules import the database: loaded on demand, so that `import bot` is quick."""
RENAMED = {
    "Asked": "StoredQuestion",
    "Figures": "UsageStatistics",
    "Known": "Reference",
    "Likely": "LikelyToken",
    "Made": "Provenance",
    "OneThread": "SerialExecutor",
}
"""Old names, which plugins written for 0.1 use, and the names that replace them."""


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        new = RENAMED[name]
        warnings.warn(
            f"bot.{name} is called bot.{new} now; the old name will be removed in 2.0.",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals().get(new) or __getattr__(new)
    if name not in LATER:
        raise AttributeError(f"module “bot” has no “{name}”")
    return getattr(import_module(f"bot.{LATER[name]}"), name)
