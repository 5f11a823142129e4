"""The exception for mistakes in a job, as opposed to faults of an engine, and the checks that engines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.jobs import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence


class JobRefused(Exception):
    """The job cannot be done. `message`: a sentence for the user; `status`, `code` and `param`: as in `Failed`."""

    def __init__(
        self, message: str, *, code: str = "invalid_value", param: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param, self.status = message, code, param, status

    def to_event(self, job_id: str) -> Failed:
        """Return the event that reports this refusal to the gateway."""
        return Failed(job_id, self.message, self.status, self.code, self.param)


def check_encodable(text: str, param: str) -> None:
    """Raise JobRefused for half a surrogate pair, which JSON can carry but no tokenizer can read."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        sentence = f"Character {error.start + 1:,} of the text is half a surrogate pair; send whole characters."
        raise JobRefused(sentence, param=param) from None


def check_texts(texts: Sequence[str], param: str) -> None:
    """Raise JobRefused for an empty list of texts, an empty text, and text that no tokenizer can read."""
    if not texts:
        raise JobRefused("There is nothing to embed; send at least one text.", param=param)
    for place, text in enumerate(texts, 1):
        if not text.strip():
            raise JobRefused(f"Text {place} of {len(texts)} is empty; send texts with words in them.", param=param)
        check_encodable(text, param)
