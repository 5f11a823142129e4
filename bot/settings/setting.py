"""One thing that can be set: how it is declared, how what somebody typed becomes its value, and what that is for."""

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
EVERYWHERE = frozenset({SERVER, CHANNEL})
"""What a setting can be set for, unless its declaration says otherwise."""
LONGEST_LIST = 4000
MENTION = re.compile(r"<(?:@&|@!?|#)(?P<id>[^<>|]+)(?:\|[^<>]*)?>")
ANY_ID = re.compile(r"[\w.-]{1,64}")
"""The form of ids where the platform has no form of its own, and in the configuration of a deployment."""
KINDS_OF_IDS = {
    "channels": Sentence(
        "channels, such as #name, picked from the list that appears, or their ids, with spaces between"
    ),
    "roles": Sentence("roles, such as @name, picked from the list that appears, or their ids, with spaces between"),
    "users": Sentence("members, such as @name, picked from the list that appears, or their ids, with spaces between"),
}


def most_or_all(values: Iterable[int]) -> int:
    """The largest of several quotas, where 0 stands for no limit at all."""
    found = list(values)
    return 0 if 0 in found else max(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set.

    `name` is "plugin.thing", `description` a sentence for moderators. A `default` of None leaves it to others. With
    `ids` it is a text of ids with spaces between: of "channels", "roles" or "users". `scopes` says what it can be set
    for, `among` which counts of those that several roles of one user have; without it, it cannot be set for roles.
    """

    name: str
    type: type
    default: Any
    description: str | Sentence
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    ids: str = ""
    scopes: frozenset[str] = EVERYWHERE
    among: Callable[[Iterable[Any]], Any] | None = None
    check: Callable[[Any], None] | None = None
    """Raises OptionError for a value of the right type that is wrong all the same."""
    task: str = ""
    """"chat" or "images": it names one of the model server's models for that, and "" stands for the first of them."""

    @property
    def takes_server(self) -> bool:
        """Whether it can be set for a whole server."""
        return SERVER in self.scopes

    @property
    def takes_roles(self) -> bool:
        """Whether it can be set for a role."""
        return self.among is not None

    @property
    def option(self) -> Option:
        """What reads its values, and shows them in forms."""
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
        """The description in the reader's language."""
        sentence = Sentence(self.description) if isinstance(self.description, str) else self.description
        return sentence.in_language(locale)

    def expects(self) -> Sentence:
        """What would be right, as part of a sentence."""
        return KINDS_OF_IDS[self.ids] if self.ids else self.option.expects()

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
        return self._ids(value, id_form) if self.ids else value

    def words(self, text: str) -> list[str]:
        """The ids, or what was typed for them, in a text of ids."""
        words = re.split(r"[\s,]+", MENTION.sub(r" \g<id> ", text))
        return [word for word in words if word.strip("#")]

    def _ids(self, text: str, id_form: re.Pattern[str] | None) -> str:
        form = id_form or ANY_ID
        # Where a channel has its name for an id, it may be typed as people write it.
        names = [name.removeprefix("#") if id_form is None else name for name in self.words(text)]
        for name in names:
            if not form.fullmatch(name):
                sentence = "{name} must be {expected}; “{text}” is none."
                raise OptionError(self.name, sentence, name=self.name, expected=self.expects(), text=name[:60])
        return " ".join(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a value is set for: a server, or one of its channels or roles. Direct messages are channels of no server."""

    platform: str
    server: str
    channel: str = ""
    role: str = ""

    @property
    def place(self) -> Place:
        """Where what is set for it counts."""
        return Place(self.platform, self.channel, self.server)

    def is_within(self, other: Scope) -> bool:
        """Whether it is `other`, or a channel or a role of that server."""
        ours = (self.platform, self.server) == (other.platform, other.server)
        return self == other or (ours and bool(other.server) and not other.channel and not other.role)


@dataclass(frozen=True, slots=True)
class Changed:
    """A setting that was changed: what counted in the scope before, and what does now."""

    setting: Setting
    scope: Scope
    before: Any
    after: Any
