"""The size limit of files that users attach."""

from __future__ import annotations

from bot.core.errors import UserError

MAX_FILE_BYTES = 25 * 2**20
"""The limit of one file, unless the platform has a lower one."""


def require_size(filename: str, size: int) -> None:
    """Raise UserError for a file of more than MAX_FILE_BYTES."""
    if size > MAX_FILE_BYTES:
        sentence = "{file} is too large: I take files of up to {most} MB."
        raise UserError(sentence, file=filename, most=MAX_FILE_BYTES // 2**20)
