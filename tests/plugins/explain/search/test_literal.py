"""Questions that stand in teachers' files of different shapes are answered, whatever else a lesson is about."""

import io

import docx
import pytest

from plugins.explain.library.lesson_set import read_lesson
from plugins.explain.search.decision import Answer
from plugins.explain.search.index import Index

CELLS = "Cells are small. A cell lives. Cells have walls."


def make_docx() -> bytes:
    document = docx.Document()
    document.add_paragraph().add_run("Hearts").bold = True
    for question, answer in (("1. Do hearts rest?", "Between two beats."), ("2. Who moved one?", "Barnard did.")):
        document.add_paragraph().add_run(question).bold = True
        document.add_paragraph(answer)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


FILES = {
    "faq.md": f"# Cells\n\n## Walls\n\n{CELLS}\n\n## FAQ\n\nWho found cells?\nHooke, in 1665.\n\nWhat's DNA? A plan.\n",
    "headings.md": "# Fire\n\n## FAQ\n\n### 1. Where is Etna?\n\nOn Sicily.\n\n### 2. What is it?\n\nA volcano.\n",
    "labels.txt": 'France\n\nQ: When did "it" start?\nA: With bread.\n\nQ: Who was king at that time?\nA: Louis.\n',
    "list.md": "# Rain\n\n## Questions\n\n1. What falls?\n\n   Drops do.\n\n2. Where does it go? Into the sea.\n",
    "numbered.txt": "ROME\n\n1. Who founded Rome?\nRomulus did.\n\n2. Did they wash?\nYes, in baths.\n",
    "bold.md": "# Planets\n\n**Why is Mars red?**\nRust.\n\n**How old is the Sun?** Older than us.\n",
    "table.md": "# Bread\n\n## Baking\n\n| Question | Answer |\n|---|---|\n| Why does dough rise? | Gas. |\n",
    "within.md": "# Plants\n\n## Air\n\nHave you ever asked why we need plants? They make air.\n\n## Sun\n\nHot.\n",
    "title.txt": "Why is the sky blue?\n\nBlue light is scattered most.\n",
    "page.html": "<html><h1>Quakes</h1><dl><dt>What’s a tsunami?</dt><dd>A wave.</dd><dt>Why?</dt><dd>Yes.</dd></dl>",
    "word.docx": make_docx(),
}  # fmt: skip


def ask(index: Index, question: str) -> str:
    """Return the passage that a question gets by words alone, or "" if it gets no answer."""
    decision = index.decide(index.rank(index.read_question(question)))
    return decision.passage.plain_text if isinstance(decision, Answer) else ""


def read(name: str, text: str | bytes) -> Index:
    return Index(read_lesson(text.encode() if isinstance(text, str) else text, name).passages)


@pytest.mark.parametrize(
    ("file", "question", "answer"),
    [
        ("faq.md", "Who found cells?", "Hooke"),
        ("faq.md", "What's DNA?", "A plan."),
        ("headings.md", "Where is Etna?", "Sicily"),
        ("headings.md", "What is it?", "A volcano."),
        ("labels.txt", 'When did "it" start?', "bread"),
        ("labels.txt", "Q: Who was king at that time?", "Louis"),
        ("list.md", "What falls?", "Drops"),
        ("list.md", "2. Where does it go?", "sea"),
        ("numbered.txt", "Who founded Rome?", "Romulus"),
        ("bold.md", "Why is Mars red?", "Rust."),
        ("bold.md", "How old is the Sun?", "Older"),
        ("table.md", "Why does dough rise?", "Gas."),
        ("within.md", "Have you ever asked why we need plants?", "make air"),
        ("title.txt", "Why is the sky blue?", "scattered"),
        ("page.html", "What’s a tsunami?", "A wave."),
        ("word.docx", "Who moved one?", "Barnard"),
    ],
)
def test_a_question_that_stands_in_a_lesson_is_answered(file: str, question: str, answer: str) -> None:
    index = read(file, FILES[file])
    bare = question.lower().rstrip("?")
    typographic = question.replace("'", "’").replace('"', "“")
    for typed in (question, bare, question.upper(), typographic, f"  {question.replace(' ', '  ')} !?"):
        assert answer in ask(index, typed), typed


def test_signs_tell_questions_apart() -> None:
    text = "# Sums\n\n## What is 3 + 4?\n\nSeven.\n\n## What is 3 × 4?\n\nTwelve.\n\n## What is C?\n\nA language.\n"
    index = read("sums.md", text)
    assert [ask(index, question) for question in ("what is 3+4", "What is 3 × 4")] == ["Seven.", "Twelve."]
    assert not index.has_literally("What is C++?")


def test_a_question_without_an_answer_and_a_heading_of_several_sections_are_not_literal() -> None:
    sections = ("Fur\n\n### Summary\n\nSoft.", "Food\n\n### Summary\n\nMice.", "Tasks\n\nWhy do cats purr? Who hunts?")
    text = "\n\n".join(["# Cats", *(f"## {section}" for section in sections)])
    index = read("cats.md", text)
    for question in ("Why do cats purr?", "summary", "who", ""):
        assert not index.has_literally(question)
    assert index.has_literally("food")
