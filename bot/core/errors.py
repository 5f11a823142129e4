"""The errors that the bot raises on purpose, in one tree.

    BotError
    ├── ConfigError          the deployment's files or environment
    ├── PluginError          a plugin cannot be loaded; names it
    ├── CannotPost           a channel cannot be written to; `reason` says why
    └── UserError            safe to show: a sentence for the user who asked
        ├── OptionError      an option is missing, unknown or out of range
        ├── UnknownCommand
        ├── RequestRefused   a rule forbids the request; `code` says which rule
        │   ├── PermissionDenied
        │   └── LimitReached     asked too often; `retry_after` seconds
        ├── Expired          the message or question behind a button is no longer stored
        ├── UnknownFormat    a file is in none of the formats of texts
        ├── DatabaseUnavailable   it is full, locked, broken or away
        └── ModelError       the model server refused the request, in a sentence
            ├── ModelUnavailable   down, loading, or its worker died
            └── Busy               its queue is full; `retry_after` seconds

A `UserError` holds an English sentence and the values of its fields, so that it can be shown in the reader's language.
"""

from __future__ import annotations

from bot.core.i18n import Sentence


class BotError(Exception):
    """The base class of all errors here."""


class ConfigError(BotError):
    """The configuration cannot be used; the text says which value is wrong and what would be right."""


class PluginError(BotError):
    """A plugin cannot be loaded; the text names it and says why."""

    plugin = ""
    """The name of the plugin, once it is known."""
    module = ""
    """The plugin's module, once it is known."""


class CannotPost(BotError):
    """A channel cannot be written to. `reason` is the second half of a sentence that says why."""

    def __init__(self, reason: Sentence) -> None:
        self.reason = reason
        super().__init__(reason.in_language("en"))


class UserError(BotError):
    """An error whose text is shown to the user. `sentence` may have `{name}` fields, which `values` fill.

    If there is a `plural` sentence, it is used for another value of `count` than one.
    """

    def __init__(self, sentence: str, plural: str = "", /, **values: object) -> None:
        self.sentence = Sentence(sentence, values, plural)
        super().__init__(self.sentence.in_language("en"))


class OptionError(UserError):
    """An option of a command is wrong. `option` is its name, so that a form can mark the field."""

    def __init__(self, option: str, sentence: str, **values: object) -> None:
        super().__init__(sentence, **values)
        self.option = option


class UnknownCommand(UserError):
    """No command has this name."""


class RequestRefused(UserError):
    """A rule forbids the request. `code` names the rule for the audit; `what` is the command or button, if known."""

    def __init__(self, sentence: str, *, code: str = "permission", what: str = "", **values: object) -> None:
        super().__init__(sentence, **values)
        self.code = code
        self.what = what


class PermissionDenied(RequestRefused):
    """The user lacks the right to do this in this place."""


class LimitReached(RequestRefused):
    """The user has asked too often. `retry_after` is in seconds."""

    def __init__(self, sentence: str, *, code: str, retry_after: float, what: str = "", **values: object) -> None:
        super().__init__(sentence, code=code, what=what, **values)
        self.retry_after = retry_after


class Expired(UserError):
    """The message or the question behind a button is no longer stored."""


class UnknownFormat(UserError):
    """A file is in none of the formats that can be read as text."""


class DatabaseUnavailable(UserError):
    """The database cannot be read or written at the moment. The log already has the reason, in a line."""

    def __init__(self) -> None:
        sentence = (
            "My database cannot be used at the moment, so nothing can be read or stored. Please try again later; "
            "whoever runs me finds the reason in my log."
        )
        super().__init__(sentence)


class ModelError(UserError):
    """The model server refused the request, in a sentence of its own."""

    status = 0
    """The status of its HTTP response; 0 if there was none."""
    detail = ""
    """What a program may read of its reason, which is not for users: codes, names of fields, its own words."""


class ModelUnavailable(ModelError):
    """The model server does not answer, or the model is not loaded yet."""


class Busy(ModelError):
    """The model server's queue is full. `retry_after` is in seconds."""

    def __init__(self, sentence: str, retry_after: float, plural: str = "", /, **values: object) -> None:
        super().__init__(sentence, plural, **values)
        self.retry_after = retry_after
