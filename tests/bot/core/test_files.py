import pytest

from bot.core.errors import UserError
from bot.core.files import MAX_FILE_BYTES, require_size


def test_a_file_may_have_25_mb() -> None:
    assert MAX_FILE_BYTES == 25 * 1024 * 1024
    require_size("notes.md", MAX_FILE_BYTES)
    with pytest.raises(UserError) as caught:
        require_size("notes.md", MAX_FILE_BYTES + 1)
    assert str(caught.value) == "notes.md is too large: I take files of up to 25 MB."
