"""Streamed text: whole characters, correct spaces, no stop strings."""

import copy
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from model_server.engines.contract import Misconfigured
from model_server.engines.language.detokenize import TextStream, TokenBytes

SENTENCE = "Größe: über 🐉👩‍🔬 e\u0301, 日本 — \ufffd fine\n\tx"


class FakeVocabulary:
    """A vocabulary of the given pieces, by default of all single bytes."""

    special: frozenset[int] = frozenset()
    marks_word_starts = False

    def __init__(self, pieces: Sequence[bytes] = tuple(bytes([byte]) for byte in range(256))) -> None:
        self._pieces = pieces

    def bytes(self, token: int) -> bytes:
        return self._pieces[token]


def make_stream(*stop: str) -> TextStream:
    return TextStream(FakeVocabulary(), stop)  # type: ignore[arg-type]


def push_bytes(text: TextStream, data: bytes) -> list[str]:
    return [text.push(byte) for byte in data]


@pytest.mark.parametrize("family", ["byte_level", "sentence_piece"])
def test_tokens_become_their_text_without_partial_characters(family: str, request: pytest.FixtureRequest) -> None:
    tokenizer: PreTrainedTokenizerFast = request.getfixturevalue(family)
    vocabulary = TokenBytes(tokenizer)
    ids = tokenizer(SENTENCE, add_special_tokens=False).input_ids
    text = TextStream(vocabulary, drop_first_space=True)
    parts = [text.push(token) for token in ids]
    assert "".join(parts) + text.finish() == SENTENCE
    assert "\ufffd" not in "".join(part for part in parts if part != "\ufffd")
    assert b"".join(map(vocabulary.bytes, ids)).decode().removeprefix(" ") == SENTENCE


def test_sentence_piece_keeps_the_space_where_a_text_continues(sentence_piece: PreTrainedTokenizerFast) -> None:
    vocabulary = TokenBytes(sentence_piece)
    cat = sentence_piece.convert_tokens_to_ids("▁cat")
    assert TextStream(vocabulary).push(cat) == " cat"
    opening = TextStream(vocabulary, drop_first_space=True)
    assert [opening.push(cat), opening.push(cat)] == ["cat", " cat"]


def test_byte_level_keeps_a_leading_space(byte_level: PreTrainedTokenizerFast) -> None:
    text = TextStream(TokenBytes(byte_level), drop_first_space=True)
    assert "".join(text.push(token) for token in byte_level(" cat").input_ids) == " cat"


def test_special_tokens_have_a_name_but_are_not_shown(byte_level: PreTrainedTokenizerFast) -> None:
    vocabulary = TokenBytes(byte_level)
    assert vocabulary.bytes(byte_level.eos_token_id) == b"<|end|>"
    assert TextStream(vocabulary).push(byte_level.eos_token_id) == ""
    assert vocabulary.bytes(len(byte_level) + 3) == b""


def test_ids_that_only_pad_the_model_are_unused(byte_level: PreTrainedTokenizerFast) -> None:
    size = len(byte_level)
    converted = copy.deepcopy(byte_level)
    # Names as in a converted GGUF, and one that only looks like them.
    converted.add_tokens([f"[PAD{size}]", f"[PAD{size + 1}]", f"[PAD{size}0]"])
    assert TokenBytes(converted).find_unused(size + 5) == [size, size + 1, size + 3, size + 4]
    assert TokenBytes(byte_level).find_unused(size) == []


def test_other_text_is_left_alone(byte_level: PreTrainedTokenizerFast) -> None:
    assert TokenBytes(byte_level).break_special_tokens(SENTENCE + "<|END|> <|end|") == SENTENCE + "<|END|> <|end|"


def test_a_tokenizer_of_another_kind_is_refused(word_piece: PreTrainedTokenizerFast) -> None:
    with pytest.raises(Misconfigured, match="neither byte-level BPE nor SentencePiece"):
        TokenBytes(word_piece)


def test_a_character_comes_out_with_its_last_byte() -> None:
    assert push_bytes(make_stream(), "aü🐉".encode()) == ["a", "", "ü", "", "", "", "🐉"]


def test_half_a_character_at_the_end_is_left_out() -> None:
    text = make_stream()
    assert push_bytes(text, "ok 🐉".encode()[:-1]) == ["o", "k", " ", "", "", ""]
    assert text.finish() == ""


def test_bytes_that_are_no_character_are_marked() -> None:
    assert "".join(push_bytes(make_stream(), b"a\xffb")) == "a\ufffdb"


def test_text_is_held_back_while_it_may_become_a_stop_string() -> None:
    text = make_stream("END")
    assert push_bytes(text, b"an ENd") == ["a", "n", " ", "", "", "ENd"]
    assert push_bytes(text, b" EN") == [" ", "", ""]
    assert text.finish() == "EN"
    assert not text.stopped


def test_text_ends_before_a_stop_string() -> None:
    text = make_stream("END", "now")
    assert "".join(push_bytes(text, b"the END is now")) + text.finish() == "the "
    assert text.stopped


def test_of_two_stop_strings_in_one_token_the_first_counts(byte_level: PreTrainedTokenizerFast) -> None:
    (cat,) = byte_level(" cat").input_ids
    text = TextStream(TokenBytes(byte_level), ("t", "a", ""))
    assert text.push(cat) == " c"
    assert text.stopped


@given(
    st.lists(st.text("aböü🐉 ", max_size=5).map(str.encode), max_size=10),
    st.lists(st.text("aböü🐉 ", min_size=1, max_size=4), max_size=3),
    st.booleans(),
)
def test_any_text_is_cut_before_the_stop_string_that_is_complete_first(
    pieces: list[bytes], stops: list[str], bytewise: bool
) -> None:
    whole = b"".join(pieces).decode()
    vocabulary = FakeVocabulary([bytes([byte]) for byte in whole.encode()] if bytewise else pieces)
    text = TextStream(vocabulary, stops)  # type: ignore[arg-type]
    count = len(whole.encode()) if bytewise else len(pieces)
    shown = "".join(map(text.push, range(count))) + text.finish()
    for end in range(len(whole) + 1):
        if hits := [stop for stop in stops if whole[:end].endswith(stop)]:
            assert shown == whole[: end - max(map(len, hits))]
            assert text.stopped
            return
    assert shown == whole
    assert not text.stopped
