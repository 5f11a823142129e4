from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bot.inference.responses import DEFAULT_RETRY_SECONDS, MOST_RETRY_SECONDS, read_retry_seconds, refused

LITELLM = (
    "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - The prompt is too long.\n"
    "model=small. fallbacks=None.\n\nLiteLLM: model group 'small' failed with the error above."
)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("The prompt  is\ttoo long.", "“attic” refused this (status 400): The prompt is too long."),
        (LITELLM, "“attic” refused this (status 400): The prompt is too long."),
        ("Error: no", "“attic” refused this (status 400): no"),
        ("", "“attic” could not answer (status 400). Please try again later."),
        ("BadRequestError: ", "“attic” could not answer (status 400). Please try again later."),
        ("no /srv/models/a.gguf", "“attic” could not answer (status 400). Please try again later."),
    ],
)
def test_words_of_another_server_are_shown_in_one_line_if_they_are_fit_to_be(message: str, shown: str) -> None:
    error = refused("attic", 400, message)
    assert str(error) == shown
    assert (error.status, error.detail) == (400, message)


def test_a_server_tells_when_to_come_back_in_seconds_or_as_a_date() -> None:
    assert read_retry_seconds("7") == 7
    assert read_retry_seconds("99999999") == MOST_RETRY_SECONDS
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    assert 500 < read_retry_seconds(then) <= 600
    assert read_retry_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for nonsense in ("", "soon", "-1", "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00"):
        assert read_retry_seconds(nonsense) == DEFAULT_RETRY_SECONDS
