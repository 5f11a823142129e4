"""The table of slots: which slot a prompt gets, what it reuses, and what stays for later."""

from model_server.engines.language.kv_slots import MIN_COMMON_TOKENS, SlotTable, common_prefix_length

SYSTEM = list(range(100, 100 + 2 * MIN_COMMON_TOKENS))


class CopyRecorder:
    """A runner that only records copies."""

    context = 1000
    description = "notes"

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.copies: list[tuple[int, int, int]] = []

    def forward(self, chunks: object) -> object:
        raise AssertionError

    def copy(self, source: int, target: int, length: int) -> None:
        self.copies.append((source, target, length))


def make_table(slots: int, *, reuse: bool = True) -> tuple[SlotTable, CopyRecorder]:
    recorder = CopyRecorder(slots)
    return SlotTable(recorder, reuse=reuse), recorder  # type: ignore[arg-type]


def use_slot(slots: SlotTable, tokens: list[int]) -> int:
    """Run a sequence of these tokens in a slot, release the slot, and return its index."""
    place, start = slots.acquire(tokens)
    slots.record(place, start, tokens[start:])
    slots.release(place)
    return place


def test_common_prefixes_are_counted_to_the_token() -> None:
    for length in (MIN_COMMON_TOKENS, MIN_COMMON_TOKENS + 1, 2 * MIN_COMMON_TOKENS - 1, 2 * MIN_COMMON_TOKENS):
        other = [*SYSTEM[:length], *range(5)]
        assert common_prefix_length(SYSTEM, other) == common_prefix_length(other, SYSTEM) == length
    assert common_prefix_length(SYSTEM, SYSTEM[: MIN_COMMON_TOKENS - 1]) == 0
    assert common_prefix_length(SYSTEM, [1, *SYSTEM]) == 0
    assert common_prefix_length([], SYSTEM) == 0


def test_the_last_token_is_always_computed_again() -> None:
    slots, recorder = make_table(2)
    place = use_slot(slots, SYSTEM)
    assert slots.acquire(SYSTEM) == (place, len(SYSTEM) - 1)
    assert recorder.copies == []


def test_a_conversation_continues_in_its_slot() -> None:
    slots, recorder = make_table(3)
    place = use_slot(slots, [*SYSTEM, 1, 2, 3])
    use_slot(slots, [*range(40)])
    assert slots.acquire([*SYSTEM, 1, 2, 3, 4, 5]) == (place, len(SYSTEM) + 3)
    assert recorder.copies == []


def test_the_prefix_in_a_busy_slot_is_copied() -> None:
    slots, recorder = make_table(2)
    place, _ = slots.acquire([*SYSTEM, 1])
    slots.record(place, 0, [*SYSTEM, 1])
    other, start = slots.acquire([*SYSTEM, 2, 2])
    assert other != place
    assert start == len(SYSTEM)
    assert recorder.copies == [(place, other, start)]


def test_only_computed_tokens_are_copied() -> None:
    slots, recorder = make_table(2)
    place, _ = slots.acquire([*SYSTEM, 1])
    slots.record(place, 0, SYSTEM[:20])
    assert slots.acquire([*SYSTEM, 2])[1] == 20
    assert recorder.copies[0][2] == 20


def test_a_long_conversation_is_kept_when_only_a_short_prefix_is_shared() -> None:
    slots, recorder = make_table(3)
    conversation = [*SYSTEM, *range(90)]
    place = use_slot(slots, conversation)
    other, start = slots.acquire([*SYSTEM, 7])
    assert (other != place, start) == (True, len(SYSTEM))
    assert recorder.copies == [(place, other, start)]
    assert slots.acquire([*conversation, 8]) == (place, len(conversation))


def test_the_least_recently_used_slot_is_overwritten() -> None:
    slots, _ = make_table(2)
    first = use_slot(slots, [*range(20)])
    second = use_slot(slots, [*range(50, 70)])
    slots.release(slots.acquire([*range(20), 1])[0])
    assert slots.acquire([*range(200, 230)]) == (second, 0)
    assert slots.acquire([*range(300, 330)]) == (first, 0)


def test_overwritten_tokens_are_not_reused() -> None:
    slots, _ = make_table(1)
    use_slot(slots, SYSTEM)
    use_slot(slots, [*SYSTEM[:20], *range(30)])
    assert slots.acquire(SYSTEM) == (0, 20)


def test_without_reuse_every_prompt_starts_at_the_beginning() -> None:
    slots, recorder = make_table(2, reuse=False)
    use_slot(slots, SYSTEM)
    assert slots.acquire(SYSTEM)[1] == 0
    assert recorder.copies == []
