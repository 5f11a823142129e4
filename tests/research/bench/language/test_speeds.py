"""The speeds of fake servers."""

import pytest
from fakes.model_server.scribe import Scribe, side_of

from research.bench.language.speeds import compare
from research.bench.language.traffic import BandwidthProbe


async def test_all_sides_get_the_same_requests_and_take_turns() -> None:
    log: list[str] = []
    scribes = [Scribe(log=log, name=name) for name in "abc"]
    async with side_of(scribes[0].chat) as first, side_of(scribes[1].chat) as second, side_of(scribes[2].chat) as third:
        figures, bandwidths = await compare([first, second, third], "m", 2, BandwidthProbe(2, 1 << 12))
    assert len({str(sorted(map(str, scribe.asked))) for scribe in scribes}) == 1
    # Each is warmed up; in the second run another one goes first.
    alone = [name for name, tokens in (line.split() for line in log) if tokens == "96"]
    assert log[:3] == ["a 8", "b 8", "c 8"]
    assert "".join(alone) == "abc" + "aaabbbccc" + "bca" + "bbbcccaaa"
    for measured in figures:
        both = [measured.alone, measured.lessons, measured.together, measured.wait, measured.wait_cached]
        assert [len(speeds) for speeds in both] == [2] * 5
        assert min(map(min, both)) > 0
        assert measured.lengths == [pytest.approx(50 + 96 / 2)] * 2
    assert len(bandwidths) == 2 * 3 * 4
    assert min(bandwidths) > 0
