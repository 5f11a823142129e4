"""A setting's declaration, how typed text becomes its value, and the scope that a value is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.commands.option import Option
from bot.core.errors import OptionError
from bot.core.i18n import Sentence
from bot.core.messages import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SERVER, CHANNEL, ROLE = "server", "channel", "role"
DEFAULT_SCOPES = frozenset({SERVER, CHANNEL})
"""The kinds of scope that a setting can be set for, unless its declaration names others."""
MAX_LIST_CHARACTERS = 4000
"""The length of a list of ids."""
MENTION = re.compile(r"<(?:@&|@!?|#)(?P<id>[^<>|]+)(?:\|[^<>]*)?>")
ANY_ID = re.compile(r"[\w.-]{1,64}")
"""The form of ids on platforms without a form of their own, and in the configuration of a deployment."""
ID_KINDS = {
    "channels": Sentence(
        "channels, such as #name, picked from the list that appears, or their ids, with spaces between"
    ),
    "roles": Sentence("roles, such as @name, picked from the list that appears, or their ids, with spaces between"),
    "users": Sentence("members, such as @name, picked from the list that appears, or their ids, with spaces between"),
}


def largest_quota(values: Iterable[int]) -> int:
    """Return the largest of several quotas, of which 0 stands for no limit."""
    quotas = list(values)
    return 0 if 0 in quotas else max(quotas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting that moderators can change.

    `name` is "plugin.thing", `description` a sentence for moderators. A `default` of None leaves the choice to the code
    that reads it. With `ids` the value is a text of ids with spaces between: of "channels", "roles" or "users".
    `scopes` are the kinds of scope it can be set for. `among` adds roles to them, and chooses one of the values
    that the roles of a user have.
    """

    name: str
    type: type
    default: Any
    description: str | Sentence
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    ids: str = ""
    scopes: frozenset[str] = DEFAULT_SCOPES
    among: Callable[[Iterable[Any]], Any] | None = None
    check: Callable[[Any], None] | None = None
    """Called with a value of the right type, whenever it is read; raises OptionError if it is wrong all the same."""
    check_new: Callable[[Any], None] | None = None
    """Called in a thread with a value that somebody sets, and never again; raises OptionError if it is wrong."""
    count_entries: Callable[[str], int] | None = None
    """Counts the entries of a list of words, names or patterns; those of a server's lists together are limited."""
    task: str = ""
    """"chat" or "images" if the value names one of the model server's models for that task; "" is the first of them."""

    @property
    def takes_server(self) -> bool:
        """True if it can be set for a whole server."""
        return SERVER in self.scopes

    @property
    def takes_roles(self) -> bool:
        """True if it can be set for a role."""
        return self.among is not None

    @property
    def option(self) -> Option:
        """The option that parses its values and shows them in forms."""
        about = self.description if isinstance(self.description, str) else self.description.in_language("en")
        return Option(
            name=self.name,
            type=self.type,
            description=about,
            default=self.default,
            minimum=self.minimum,
            maximum=self.maximum,
            choices=self.choices,
        )

    def about(self, locale: str) -> str:
        """Return the description in the reader's language."""
        sentence = Sentence(self.description) if isinstance(self.description, str) else self.description
        return sentence.in_language(locale)

    def expects(self) -> Sentence:
        """Return which values are accepted, as part of a sentence."""
        return ID_KINDS[self.ids] if self.ids else self.option.expects()

    def convert(self, raw: Any, id_form: re.Pattern[str] | None = None) -> Any:
        """Return `raw` as this setting's type. `id_form` is the form of the platform's ids, if it has one.

        Raises OptionError with a sentence.
        """
        if raw is None and self.default is None:
            return None
        if not isinstance(raw, (str, int, float)):
            sentence = "{name} must be {expected}; a list or a table is none."
            raise OptionError(self.name, sentence, name=self.name, expected=self.expects())
        value = self.option.convert(raw)
        if self.check is not None:
            self.check(value)
        return self._convert_ids(value, id_form) if self.ids else value

    def split_ids(self, text: str) -> list[str]:
        """Return the ids in a text, or the names that were typed for them."""
        words = re.split(r"[\s,]+", MENTION.sub(r" \g<id> ", text))
        return [word for word in words if word.strip("#")]

    def _convert_ids(self, text: str, id_form: re.Pattern[str] | None) -> str:
        form = id_form or ANY_ID
        # On a platform whose channels have their names as ids, people may type #name.
        names = [name.removeprefix("#") if id_form is None else name for name in self.split_ids(text)]
        for name in names:
            if not form.fullmatch(name):
                sentence = "{name} must be {expected}; “{text}” is none."
                raise OptionError(self.name, sentence, name=self.name, expected=self.expects(), text=name[:60])
        return " ".join(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A server, or one of its channels or roles, that has values. A direct message is a channel of no server."""

    platform: str
    server: str
    channel: str = ""
    role: str = ""

    @property
    def place(self) -> Place:
        """The place of this scope."""
        return Place(self.platform, self.channel, self.server)

    def is_within(self, other: Scope) -> bool:
        """Return whether it is `other`, or a channel or a role of that server."""
        is_same_server = (self.platform, self.server) == (other.platform, other.server)
        return self == other or (is_same_server and bool(other.server) and not other.channel and not other.role)


@dataclass(frozen=True, slots=True)
class Changed:
    """A setting that was changed, with the value that applied in the scope before and the one that applies now."""

    setting: Setting
    scope: Scope
    before: Any
    after: Any
