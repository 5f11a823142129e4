import pytest
from pydantic import ValidationError

from bot.config.sections import DiscordSection
from bot.config.shards import ShardPlan, parse_shards


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("0-3/8", ShardPlan(8, (0, 1, 2, 3))),
        ("7/8", ShardPlan(8, (7,))),
        (" 0 - 0 / 1 ", ShardPlan(1, (0,))),
        ("auto/8", ShardPlan(8)),
    ],
)
def test_the_setting_names_a_range_or_a_share(text: str, plan: ShardPlan) -> None:
    assert parse_shards(text) == plan


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8", "it must be like “0-3/8”"),
        ("all/8", "it must be like “0-3/8”"),
        ("-1/8", "it must be like “0-3/8”"),
        ("0-8/8", "of 8 shards, a process can have a range within 0-7"),
        ("3-0/8", "the lower number first"),
        ("auto/0", "there must be at least one shard"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DiscordSection(shards=text)


def test_without_the_setting_a_process_serves_all_shards() -> None:
    assert DiscordSection().shard_plan is None
