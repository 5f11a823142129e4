import pytest

from bot.inference.responses import refused

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
