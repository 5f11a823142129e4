import math

import pytest

from bot import LikelyToken
from bot.inference.logprobs import TokenReader, read_dial, read_entropies


def one(data: bytes, share: float = 0.5, *others: tuple[bytes, float], special: bool = False) -> dict[str, object]:
    named = {"token": data.decode(errors="replace"), "bytes": list(data), "logprob": math.log(share)}
    named |= {"special": True} if special else {}
    return named | {"top_logprobs": [one(data, share) for data, share in others]}


def read(reader: TokenReader, shown: str, *tokens: dict[str, object]) -> list[str]:
    choice = {"delta": {"content": shown}, "logprobs": {"content": list(tokens)}}
    return [token.text for token in reader.read_tokens(choice)]


def test_the_texts_of_the_tokens_are_the_answer_even_if_tokens_split_characters() -> None:
    reader = TokenReader()
    assert read(reader, "Ja ", one(b"Ja"), one(b" ")) == ["Ja", " "]
    assert read(reader, "", one("😀".encode()[:3])) == [""]
    assert read(reader, "😀!", one("😀".encode()[3:]), one(b"!")) == ["😀", "!"]


def test_the_space_that_some_models_begin_with_is_removed() -> None:
    reader = TokenReader()
    assert read(reader, "The", one(b" The")) == ["The"]
    assert read(reader, " cat", one(b" cat")) == [" cat"]
    assert read(TokenReader(), " cat", one(b" cat")) == [" cat"]


def test_special_tokens_are_left_out_even_in_the_middle_of_a_character() -> None:
    reader, special = TokenReader(), one(b"<|fim_prefix|>", special=True)
    assert read(reader, "The", special, one(b" The")) == ["The"]
    assert read(reader, "", one("é".encode()[:1]), special) == [""]
    assert read(reader, "é", one("é".encode()[1:]), special) == ["é"]
    choice = {"delta": {"content": "a"}, "logprobs": {"content": [special, one(b"a")]}}
    assert read_entropies(choice, {"entropy": [5.0, math.log(2)]}) == pytest.approx((1.0,))


def test_likely_tokens_include_the_one_that_ends_the_text() -> None:
    token = one(b"a", 0.25, (b" the", 0.5), (b"a", 0.25))
    token["top_logprobs"] += [one(b"<end>", 0.125, special=True), one(b"\xf0\x9f", 0.1)]
    (found,) = TokenReader().read_tokens({"delta": {"content": "a"}, "logprobs": {"content": [token]}})
    assert (found.text, found.probability) == ("a", pytest.approx(0.25))
    assert [other.text for other in found.likely] == [" the", "a", "", "\ufffd"]
    assert found.likely[0] == LikelyToken(" the", pytest.approx(0.5))


def test_without_log_probabilities_there_are_no_tokens_and_no_entropies() -> None:
    for choice in ({"delta": {}}, {"delta": {"content": "a"}, "logprobs": None}):
        assert (TokenReader().read_tokens(choice), read_entropies(choice, {})) == ((), ())
    # Another server sends no entropies.
    assert read_entropies({"delta": {"content": "a"}, "logprobs": {"content": [one(b"a")]}}, {}) == ()


def test_a_dial_is_read_with_all_its_fields() -> None:
    token = {"token": "a", "id": 7, "bytes": [97], "logit": math.log(3), "after": 0.9}
    end = {"token": "<end>", "id": 2, "bytes": [60], "logit": 0.0, "after": 0.1, "special": True}
    told = {
        "tokens": [token, end],
        "temperatures": [0.5, 1.0],
        "log_sum_exp": [math.log(10), math.log(4)],
        "entropy": [math.log(2), math.log(4)],
        "drawn": end,
        "prompt": [{"id": 1, "bytes": [60], "special": True}, {"id": 5, "bytes": [104, 105]}],
    }
    found = read_dial("m", told)
    assert (found.model, found.prompt, found.prompt_ids) == ("m", (b"", b"hi"), (1, 5))
    assert found.drawn == found.candidates[1]
    assert [(one.id, one.after, one.ends) for one in found.candidates] == [(7, 0.9, False), (2, 0.1, True)]
    assert [one.before for one in found.candidates] == pytest.approx([0.75, 0.25])
    assert found.entropy == pytest.approx((1.0, 2.0))
    # By the formula in the docstring of Dial, 3 to 1 becomes 9 to 1 at half the temperature.
    assert math.exp(found.candidates[0].logit / 0.5 - found.log_sum_exp[0]) == pytest.approx(0.9)
