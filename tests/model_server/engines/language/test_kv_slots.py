"""Slots: who gets which, what they hold already, and what stays for later."""

from model_server.engines.language.kv_slots import LEAST, SlotTable, common

SYSTEM = list(range(100, 100 + 2 * LEAST))


class Copies:
    """A runner that only notes what is copied."""

    context = 1000
    description = "notes"

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.done: list[tuple[int, int, int]] = []

    def forward(self, chunks: object) -> object:
        raise AssertionError

    def copy(self, source: int, target: int, length: int) -> None:
        self.done.append((source, target, length))


def table(slots: int, *, reuse: bool = True) -> tuple[SlotTable, Copies]:
    copies = Copies(slots)
    return SlotTable(copies, reuse=reuse), copies  # type: ignore[arg-type]


def used(slots: SlotTable, tokens: list[int]) -> int:
    """The slot in which a sequence of these tokens began and ended."""
    place, start = slots.take(tokens)
    slots.hold(place, start, tokens[start:])
    slots.leave(place)
    return place


def test_common_beginnings_are_counted_to_the_token() -> None:
    for length in (LEAST, LEAST + 1, 2 * LEAST - 1, 2 * LEAST):
        other = [*SYSTEM[:length], *range(5)]
        assert common(SYSTEM, other) == common(other, SYSTEM) == length
    assert common(SYSTEM, SYSTEM[: LEAST - 1]) == 0
    assert common(SYSTEM, [1, *SYSTEM]) == 0
    assert common([], SYSTEM) == 0


def test_the_last_token_is_always_read_again() -> None:
    slots, copies = table(2)
    place = used(slots, SYSTEM)
    assert slots.take(SYSTEM) == (place, len(SYSTEM) - 1)
    assert copies.done == []


def test_a_conversation_goes_on_where_it_is() -> None:
    slots, copies = table(3)
    place = used(slots, [*SYSTEM, 1, 2, 3])
    used(slots, [*range(40)])
    assert slots.take([*SYSTEM, 1, 2, 3, 4, 5]) == (place, len(SYSTEM) + 3)
    assert copies.done == []


def test_what_a_busy_slot_holds_is_copied() -> None:
    slots, copies = table(2)
    place, _ = slots.take([*SYSTEM, 1])
    slots.hold(place, 0, [*SYSTEM, 1])
    other, start = slots.take([*SYSTEM, 2, 2])
    assert other != place
    assert start == len(SYSTEM)
    assert copies.done == [(place, other, start)]


def test_what_was_not_read_yet_is_not_copied() -> None:
    slots, copies = table(2)
    place, _ = slots.take([*SYSTEM, 1])
    slots.hold(place, 0, SYSTEM[:20])
    assert slots.take([*SYSTEM, 2])[1] == 20
    assert copies.done[0][2] == 20


def test_a_long_conversation_is_kept_when_a_short_beginning_is_shared() -> None:
    slots, copies = table(3)
    talk = [*SYSTEM, *range(90)]
    place = used(slots, talk)
    other, start = slots.take([*SYSTEM, 7])
    assert (other != place, start) == (True, len(SYSTEM))
    assert copies.done == [(place, other, start)]
    assert slots.take([*talk, 8]) == (place, len(talk))


def test_the_slot_that_was_not_used_for_longest_is_overwritten() -> None:
    slots, _ = table(2)
    first = used(slots, [*range(20)])
    second = used(slots, [*range(50, 70)])
    slots.leave(slots.take([*range(20), 1])[0])
    assert slots.take([*range(200, 230)]) == (second, 0)
    assert slots.take([*range(300, 330)]) == (first, 0)


def test_what_was_overwritten_is_not_offered() -> None:
    slots, _ = table(1)
    used(slots, SYSTEM)
    used(slots, [*SYSTEM[:20], *range(30)])
    assert slots.take(SYSTEM) == (0, 20)


def test_without_reuse_every_prompt_starts_at_the_beginning() -> None:
    slots, copies = table(2, reuse=False)
    used(slots, SYSTEM)
    assert slots.take(SYSTEM)[1] == 0
    assert copies.done == []
