import random

import pytest

from bot import LikelyToken, Token
from bot.storage.tokens import pack, unpack


def test_packed_tokens_are_unpacked_almost_unchanged() -> None:
    tokens = (
        Token("Paris", 0.731, (LikelyToken("Paris", 0.731), LikelyToken("", 0.2), LikelyToken("\ud800\ufffd", 1e-9))),
        Token("", 1.0),
        Token("😀", 0.0, (LikelyToken("é", 0.5),)),
    )
    back = unpack(pack(tokens))
    assert [token.text for token in back] == ["Paris", "", "😀"]
    assert [token.probability for token in back] == pytest.approx([0.731, 1.0, 0.0], rel=1e-3)
    assert [one.text for one in back[0].likely] == ["Paris", "", "?\ufffd"]
    assert [one.probability for one in back[0].likely] == pytest.approx([0.731, 0.2, 1e-9], rel=1e-3)
    assert back[1].likely == ()


def test_a_long_answer_is_small() -> None:
    chance = random.Random(1)
    words = [f" word{number}" for number in range(2000)]
    tokens = [
        Token(
            chance.choice(words),
            chance.random(),
            tuple(LikelyToken(chance.choice(words), chance.random()) for _ in range(5)),
        )
        for _ in range(512)
    ]
    assert len(pack(tokens)) < 64 * len(tokens)
