"""The limits of a server's own lists of words, names and patterns, which are compiled and searched at each message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.settings.scopes import server_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bot.settings.scopes import Change, Scopes
    from bot.settings.setting import Setting

MAX_ENTRIES, MAX_CHARACTERS = 10_000, 100_000
"""How much all lists of a server with its channels may hold together."""
TOO_MANY_ENTRIES = Sentence(
    "The lists of words, names and patterns of a server may have {most} entries in all; with this they would have "
    "{count}."
)
TOO_LONG = Sentence(
    "The lists of words, names and patterns of a server may have {most} characters in all; with this they would have "
    "{count}."
)


def check_lists(changes: Sequence[Change], scopes: Scopes, declared: Iterable[Setting]) -> None:
    """Raise UserError if the lists of a server would become longer than they may, with these changes.

    Lists that are longer already, from before there was a limit, stay in force and may become shorter.
    """
    counters = {setting.name: setting.count_entries for setting in declared if setting.count_entries is not None}
    changed = [change for change in changes if change.name in counters]
    for server in {server_scope(change.scope.place) for change in changed}:
        before = {
            (scope, name): value
            for scope, values in scopes.values_within(server).items()
            for name, value in values.items()
            if name in counters
        }
        after = before | {
            (change.scope, change.name): change.value or "" for change in changed if change.scope.is_within(server)
        }
        for sentence, most, count_one in (
            (TOO_MANY_ENTRIES, MAX_ENTRIES, lambda name, value: counters[name](value)),
            (TOO_LONG, MAX_CHARACTERS, lambda _, value: len(value)),
        ):
            count = _total(after, count_one)
            if count > most and count > _total(before, count_one):
                raise UserError(sentence.text, most=most, count=count)


def _total(lists: Mapping[tuple[Any, str], str], count: Callable[[str, str], int]) -> int:
    return sum(count(name, value) for (_, name), value in lists.items())
