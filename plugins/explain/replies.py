"""The replies of /explain: answers with their source, suggestions, refusals, and the buttons under them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot import Button, Context, Reply
from plugins.explain.lessons.passages import Passage
from plugins.explain.library.lesson_set import LessonSet
from plugins.explain.library.lesson_store import Version

MAX_LABEL_CHARACTERS = 80
"""The longest label of a button that Discord takes."""
MAX_TOPICS = 40
"""The number of topics that a refusal lists; if there are many lessons, it lists at least three of each."""


def breadcrumb(passage: Passage) -> str:
    """Return the lesson and the headings above a passage as one line."""
    return " › ".join((passage.lesson_title, *passage.path))


def button_options(lesson_set: LessonSet, passage: Passage, question: str = "") -> dict[str, Any]:
    """Return the options of a button that leads to a passage. An answer quotes the first one, the question."""
    return {
        "question": question or passage.heading,
        "lesson": passage.lesson_title,
        "anchor": passage.anchor,
        "part": lesson_set.part_number(passage),
    }


def page_link(ctx: Context, lesson_set: LessonSet, passage: Passage) -> str:
    """Return the address of a passage on its lesson's page; "" if nobody here could open it."""
    lesson = lesson_set.lesson(passage.lesson_title)
    # The web chat serves the pages, and it shows the own lessons of no other server.
    if lesson is None or (lesson.version is not None and not ctx.capabilities().has_pages):
        return ""
    return ctx.link(lesson.page.name, passage.anchor)


def format_source(ctx: Context, lesson_set: LessonSet, passage: Passage) -> str:
    """Return the line below a passage that names its source, with a link to it where there is one."""
    address = page_link(ctx, lesson_set, passage)
    return f"— [{_escape_brackets(breadcrumb(passage))}]({address})" if address else f"— {breadcrumb(passage)}"


def show_passage(ctx: Context, lesson_set: LessonSet, passage: Passage, question: str, status: str = "") -> Reply:
    """Show a passage in its own words, with its source and buttons."""
    return Reply(
        text=f"{passage.text}\n\n{format_source(ctx, lesson_set, passage)}",
        status=status,
        buttons=make_buttons(ctx, lesson_set, passage, question),
        final=True,
    )


def make_buttons(
    ctx: Context, lesson_set: LessonSet, passage: Passage, question: str, *, is_simple: bool = False
) -> tuple[Button, ...]:
    """Return the buttons under an answer. `is_simple`: the answer is in simpler words already."""
    options = button_options(lesson_set, passage, question)
    _, after = lesson_set.neighbours(passage)
    buttons = [Button(ctx.translate("Source"), "explain-source", options)]
    if after is not None:
        buttons.append(Button(ctx.translate("Next topic"), "explain-at", button_options(lesson_set, after)))
    if not is_simple:
        buttons.append(Button(ctx.translate("Simpler"), "explain-simpler", options))
    buttons.append(Button(ctx.translate("That did not help"), "explain-missed", options, aside=True))
    return tuple(buttons)


def suggest(ctx: Context, lesson_set: LessonSet, passages: Sequence[Passage], question: str) -> Reply:
    """Offer a few headings, one of which may be what was meant."""
    lines = [ctx.translate("I am not sure; did you mean one of these?"), ""]
    headings = Counter(passage.heading for passage in passages)
    names = [passage.heading if headings[passage.heading] == 1 else breadcrumb(passage) for passage in passages]
    lines += [f"- {name}" for name in names]
    buttons = [
        Button(_shorten(name), "explain-at", button_options(lesson_set, passage))
        for name, passage in zip(names, passages, strict=True)
    ]
    none = Button(ctx.translate("None of these"), "explain-missed", {"question": question})
    return Reply(text="\n".join(lines), buttons=(*buttons, none), final=True)


def refuse(ctx: Context, topics: Mapping[str, Sequence[str]], question: str) -> Reply:
    """Say that the lessons do not answer the question, and list their topics by lesson."""
    text = ctx.translate("That is not in the lessons.")
    if topics:
        text = "\n".join([f"{text} {ctx.translate('They are about:')}", "", *_format_topics(topics)])
    else:
        text = f"{text} {ctx.translate('There are none here yet.')}"
    has_ask = any(command.name == "ask" for command in ctx.commands)
    buttons = (Button(ctx.translate("Ask the language model"), "ask", {"prompt": question}),) if has_ask else ()
    return Reply(text=text, buttons=buttons, final=True)


def _format_topics(topics: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a line for each topic of a single lesson, or a line for each of several lessons."""
    max_topics = max(3, MAX_TOPICS // len(topics))
    for title, own in topics.items():
        listed = [*own[:max_topics], *(["…"] if len(own) > max_topics else [])]
        if len(topics) > 1:
            yield f"- **{title}**: {' · '.join(listed)}" if listed else f"- **{title}**"
        else:
            yield from (f"- {topic}" for topic in listed or [title])


def show_source(ctx: Context, lesson_set: LessonSet, passage: Passage) -> Reply:
    """Show where in its lesson a passage is, and the sections before and after it."""
    lesson = lesson_set.lesson(passage.lesson_title)
    before, after = lesson_set.neighbours(passage)
    version = f", {describe_version(ctx, lesson.version)}" if lesson and lesson.version else ""
    lines = [f"**{passage.lesson_title}**{version}"]
    lines += [f"{'  ' * depth}- {heading}" for depth, heading in enumerate(passage.path)]
    if address := page_link(ctx, lesson_set, passage):
        lines += ["", f"[{ctx.translate('Read it in the lesson')}]({address})"]
    around = [
        ctx.translate("Before it: {heading}", heading=before.heading) if before else "",
        ctx.translate("After it: {heading}", heading=after.heading) if after else "",
    ]
    lines += ["", *(f"- {line}" for line in around if line)]
    buttons = (
        [Button(_shorten(f"◀ {before.heading}"), "explain-at", button_options(lesson_set, before))] if before else []
    )
    if after is not None:
        buttons.append(Button(_shorten(f"{after.heading} ▶"), "explain-at", button_options(lesson_set, after)))
    return Reply(text="\n".join(lines).strip(), buttons=tuple(buttons), final=True)


def complete_question(lesson_set: LessonSet, typed: str) -> list[str]:
    """Return the questions of FAQs, then the headings, in which every typed word begins a word."""
    passages = [passage for passage in lesson_set.index.passages if passage.kind != "row" and passage.path]
    names = [passage.question for passage in passages if passage.question] + [passage.heading for passage in passages]
    beginnings = typed.casefold().split()
    return [name for name in dict.fromkeys(names) if _has_words(name.casefold(), beginnings)]


def _has_words(name: str, beginnings: Sequence[str]) -> bool:
    words = [word.strip("“”\"'?,.:(") for word in name.split()]
    return all(any(word.startswith(beginning.strip("?")) for word in words) for beginning in beginnings)


def describe_version(ctx: Context, version: Version) -> str:
    """Return the number and the date of a version, for people."""
    return ctx.translate(
        "version {number} of {date}", number=version.number, date=ctx.capabilities().show_time(version.added)
    )


def _escape_brackets(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]")


def _shorten(label: str) -> str:
    return label if len(label) <= MAX_LABEL_CHARACTERS else f"{label[: MAX_LABEL_CHARACTERS - 1]}…"
