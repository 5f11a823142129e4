import pytest

from plugins.explain.search.answer_type import lacks_answer_type

CHATBOT = "ChatGPT predicts one token after another, from your prompt."


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("when was ChatGPT released", "It appeared in 2022."),
        ("how old is the web", "It is 30 years old."),
        ("how much does it cost", "The price is 20 dollars a month."),
        ("how many steps are there", "There are hundreds of steps."),
        ("how much electricity does it use", "It takes 3 kWh."),
        ("how long does it take", "It takes a few seconds."),
        ("what does GAN stand for", "A GAN (generative adversarial network) is a pair."),
        ("how do i install it", "Download the file."),
        ("who invented it", "It was invented by Ian Goodfellow."),
        ("where is the lab", "The lab is in Paris."),
        ("is it illegal", "A law forbids it."),
        ("what is lesson 3 about", "Lesson 3 is about images."),
    ],
)
def test_a_passage_without_the_type_of_answer_is_no_answer(question: str, told: str) -> None:
    assert lacks_answer_type(question, CHATBOT)
    assert not lacks_answer_type(question, told)


def test_an_answer_has_the_type_that_its_own_question_asks_for() -> None:
    hooke = "Robert Hooke saw them first."
    assert lacks_answer_type("who discovered cells", hooke)
    assert not lacks_answer_type("who discovered cells", hooke, "Who found cells?")
    assert lacks_answer_type("who discovered cells", hooke, "How many cells are there?")


def test_another_number_is_another_lesson() -> None:
    assert lacks_answer_type("what is lesson 3 about", "Lesson 8 is about transformers.")
    assert not lacks_answer_type("what is Lesson 8 about", "Lesson 8 is about transformers.")


@pytest.mark.parametrize("question", ["what is a token", "how does it work", "why is it called that", "token?"])
def test_most_questions_ask_for_no_particular_type(question: str) -> None:
    assert not lacks_answer_type(question, "")


def test_the_time_of_a_repeated_event_needs_no_date() -> None:
    question = "when is the model deterministic"
    assert not lacks_answer_type(question, "It is deterministic when the temperature is 0.")
    assert lacks_answer_type("when was it deterministic", "It is deterministic when the temperature is 0.")
