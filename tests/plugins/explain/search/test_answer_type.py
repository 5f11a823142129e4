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


REPEATED = "It is deterministic when the temperature is 0."


@pytest.mark.parametrize(
    ("question", "told", "own_question", "lacks"),
    [
        ("who discovered cells", "Robert Hooke saw them first.", "", True),
        ("who discovered cells", "Robert Hooke saw them first.", "Who found cells?", False),
        ("who discovered cells", "Robert Hooke saw them first.", "How many cells are there?", True),
        ("what is lesson 3 about", "Lesson 8 is about transformers.", "", True),
        ("what is Lesson 8 about", "Lesson 8 is about transformers.", "", False),
        ("when is the model deterministic", REPEATED, "", False),
        ("when was it deterministic", REPEATED, "", True),
        ("what is a token", "", "", False),
        ("how does it work", "", "", False),
        ("why is it called that", "", "", False),
    ],
)
def test_an_answer_has_the_type_that_its_question_asks_for(
    question: str, told: str, own_question: str, *, lacks: bool
) -> None:
    assert lacks_answer_type(question, told, own_question) is lacks
