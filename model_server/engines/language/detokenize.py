"""Turns tokens into text as they are drawn: characters are never split, and stop strings are never shown.

It knows the two families of tokenizers that causal language models use: byte-level BPE (GPT-2, Llama 3, Qwen) and
SentencePiece with bytes as fallback (Llama 2, Mistral, Gemma).
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

from model_server.engines.contract import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

WORD_START = "\u2581"
SPLIT_MARK = "\ufdd0"
"""Splits text that must not become one token. Unicode reserves this noncharacter for internal use."""
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """The bytes that each token id stands for.

    Raises Misconfigured when the tokenizer belongs to neither family.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        decoders = list(_decoders(tokenizer))
        kinds = {decoder["type"] for decoder in decoders}
        self._byte_level = "ByteLevel" in kinds
        if not self._byte_level and not kinds & {"Metaspace", "Replace"}:
            raise Misconfigured(
                "This tokenizer is neither byte-level BPE nor SentencePiece; no other kind can be read."
            )
        self._tokenizer = tokenizer
        self._alphabet = _make_byte_alphabet()
        self._added = {token_id: str(token) for token_id, token in tokenizer.added_tokens_decoder.items()}
        self.special = frozenset(tokenizer.all_special_ids) | {
            token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        names = sorted((str(tokenizer.convert_ids_to_tokens(token)) for token in self.special), key=len, reverse=True)
        self._special_names = re.compile("|".join(re.escape(name) for name in names if len(name) > 1) or r"(?!)")
        self.marks_word_starts = any(_strips_first_space(decoder) for decoder in decoders)
        """True if the tokenizer puts a space before the first word of a text, which is not part of the text."""

    def break_special_tokens(self, text: str) -> str:
        """Return `text` with a `SPLIT_MARK` in every name of a special token, so that it is not read as that token."""
        text = text.replace(SPLIT_MARK, "")
        while self._special_names.search(text):
            # A loop, because a name may begin inside another one.
            text = self._special_names.sub(lambda match: match[0][0] + SPLIT_MARK + match[0][1:], text)
        return text

    def find_unused(self, size: int) -> list[int]:
        """Return the ids below `size` that stand for no token: rows that only pad the model's embedding.

        A converted GGUF has a token [PADn] for such an id n.
        """
        used = {token for name, token in self._tokenizer.get_vocab().items() if name != f"[PAD{token}]"}
        return [token for token in range(size) if token not in used]

    def bytes(self, token: int) -> bytes:
        """Return the UTF-8 bytes of a token, perhaps part of a character; a special token's name; b"" for no token."""
        if token in self._added:
            return self._added[token].encode()
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(piece, str):
            return b""
        if self._byte_level:
            return b"".join(self._alphabet.get(character, character.encode()) for character in piece)
        if matched := BYTE_TOKEN.fullmatch(piece):
            return bytes.fromhex(matched[1])
        return piece.replace(WORD_START, " ").encode()


class TextStream:
    """The visible text of one answer, to which tokens are added one by one.

    `drop_first_space`: the answer is a text of its own, so that SentencePiece's space before the first word is dropped.
    """

    def __init__(self, vocabulary: TokenBytes, stop: Sequence[str] = (), *, drop_first_space: bool = False) -> None:
        self.stopped = False
        """True once a stop string was found; nothing is shown from there on."""
        self._vocabulary = vocabulary
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._drop_space = drop_first_space and vocabulary.marks_word_starts

    def push(self, token: int) -> str:
        """Add a token, and return the text that can be shown now."""
        if self.stopped or token in self._vocabulary.special:
            return ""
        text = self._decoder.decode(self._vocabulary.bytes(token))
        if self._drop_space and text:
            text, self._drop_space = text.removeprefix(" "), False
        self._pending += text
        found = [(place + len(stop), place) for stop in self._stop if (place := self._pending.find(stop)) >= 0]
        if found:
            # The stop string that is complete first counts, as if the text came character by character.
            self.stopped = True
            return self._pending[: min(found)[1]]
        return self._release(_partial_stop_length(self._pending, self._stop))

    def finish(self) -> str:
        """Return the text that was held back for a stop string. Part of a character at the very end is left out."""
        return "" if self.stopped else self._release(0)

    def _release(self, keep: int) -> str:
        cut = len(self._pending) - keep
        released, self._pending = self._pending[:cut], self._pending[cut:]
        return released


def _partial_stop_length(text: str, stops: Sequence[str]) -> int:
    longest = max((len(stop) for stop in stops), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0


def _decoders(tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, Any]]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is None:
        return
    decoder = json.loads(backend.decoder.__getstate__())
    yield from decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]


def _strips_first_space(decoder: dict[str, Any]) -> bool:
    if decoder["type"] == "Strip":
        return bool(decoder["content"] == " " and decoder["start"] > 0)
    return bool(decoder["type"] == "Metaspace" and decoder["prepend_scheme"] != "never")


def _make_byte_alphabet() -> dict[str, bytes]:
    """Return the byte of each character of byte-level BPE: printable bytes are themselves, others start at U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}
    return {character: bytes([byte]) for byte, character in characters.items()}
