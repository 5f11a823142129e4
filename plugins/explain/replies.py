"""What is said in the chat: answers with where they stand, suggestions, refusals, and the buttons under them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot import Button, Context, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.library.library import Book, Library

LABEL = 80
"""Characters of a button, which is Discord's limit."""
TOPICS = 40
"""How many topics a refusal lists; of each lesson three at least, where there are many."""


def trail(passage: Passage) -> str:
    """The lesson and the headings above a passage."""
    return " › ".join((passage.lesson, *passage.path))


def target(library: Library, passage: Passage, question: str = "") -> dict[str, Any]:
    """The options of a button that leads to a passage; the question comes first, since an answer quotes it."""
    return {
        "question": question or passage.heading,
        "lesson": passage.lesson,
        "anchor": passage.anchor,
        "part": library.part(passage),
    }


def link(ctx: Context, library: Library, passage: Passage) -> str:
    """The address of the passage on the lesson's page; "" where nobody here could open it."""
    book = library.book(passage.lesson)
    # A server's own lessons are for that server, and the pages are those of the web chat.
    if book is None or (book.version is not None and not ctx.capabilities().has_pages):
        return ""
    return ctx.link(book.page.name, passage.anchor)


def source_line(ctx: Context, library: Library, passage: Passage) -> str:
    """Where a passage stands, as a line below it."""
    address = link(ctx, library, passage)
    return f"— [{_bracketed(trail(passage))}]({address})" if address else f"— {trail(passage)}"


def answer(ctx: Context, library: Library, passage: Passage, question: str, status: str = "") -> Reply:
    """A passage's own words, with where they stand."""
    return Reply(
        text=f"{passage.text}\n\n{source_line(ctx, library, passage)}",
        status=status,
        buttons=buttons(ctx, library, passage, question),
        final=True,
    )


def buttons(
    ctx: Context, library: Library, passage: Passage, question: str, *, is_simple: bool = False
) -> tuple[Button, ...]:
    """Those under an answer."""
    here = target(library, passage, question)
    _, after = library.neighbours(passage)
    made = [Button(ctx.translate("Source"), "explain-source", here)]
    if after is not None:
        made.append(Button(ctx.translate("Next topic"), "explain-at", target(library, after)))
    if not is_simple:
        made.append(Button(ctx.translate("Simpler"), "explain-simpler", here))
    made.append(Button(ctx.translate("That did not help"), "explain-missed", here))
    return tuple(made)


def suggestions(ctx: Context, library: Library, passages: Sequence[Passage], question: str) -> Reply:
    """A few headings, one of which may be what was meant."""
    lines = [ctx.translate("I am not sure; did you mean one of these?"), ""]
    headings = Counter(passage.heading for passage in passages)
    names = [passage.heading if headings[passage.heading] == 1 else trail(passage) for passage in passages]
    lines += [f"- {name}" for name in names]
    made = [
        Button(_short(name), "explain-at", target(library, passage))
        for name, passage in zip(names, passages, strict=True)
    ]
    none = Button(ctx.translate("None of these"), "explain-missed", {"question": question})
    return Reply(text="\n".join(lines), buttons=(*made, none), final=True)


def refusal(ctx: Context, topics: Mapping[str, Sequence[str]], question: str) -> Reply:
    """That nothing is found, and what there is instead, by lesson."""
    text = ctx.translate("That is not in the lessons.")
    if topics:
        text = "\n".join([f"{text} {ctx.translate('They are about:')}", "", *_subjects(topics)])
    else:
        text = f"{text} {ctx.translate('There are none here yet.')}"
    asks = any(command.name == "ask" for command in ctx.commands)
    made = (Button(ctx.translate("Ask the language model"), "ask", {"prompt": question}),) if asks else ()
    return Reply(text=text, buttons=made, final=True)


def _subjects(topics: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each topic of the only lesson, or for each of several lessons: a topic alone would not tell whose."""
    most = max(3, TOPICS // len(topics))
    for lesson, own in topics.items():
        some = [*own[:most], *(["…"] if len(own) > most else [])]
        if len(topics) > 1:
            yield f"- **{lesson}**: {' · '.join(some)}" if some else f"- **{lesson}**"
        else:
            yield from (f"- {topic}" for topic in some or [lesson])


def source(ctx: Context, library: Library, passage: Passage) -> Reply:
    """Where a passage stands, and what stands around it."""
    book = library.book(passage.lesson)
    before, after = library.neighbours(passage)
    lines = [f"**{passage.lesson}**{_of_version(ctx, book)}"]
    lines += [f"{'  ' * depth}- {heading}" for depth, heading in enumerate(passage.path)]
    if address := link(ctx, library, passage):
        lines += ["", f"[{ctx.translate('Read it in the lesson')}]({address})"]
    around = [
        ctx.translate("Before it: {heading}", heading=before.heading) if before else "",
        ctx.translate("After it: {heading}", heading=after.heading) if after else "",
    ]
    lines += ["", *(f"- {line}" for line in around if line)]
    made = [Button(_short(f"◀ {before.heading}"), "explain-at", target(library, before))] if before else []
    if after is not None:
        made.append(Button(_short(f"{after.heading} ▶"), "explain-at", target(library, after)))
    return Reply(text="\n".join(lines).strip(), buttons=tuple(made), final=True)


def fitting(library: Library, typed: str) -> list[str]:
    """The questions of the FAQ, then the headings, in which every typed word begins a word."""
    passages = [passage for passage in library.index.passages if passage.kind != "row" and passage.path]
    known = [passage.question for passage in passages if passage.question] + [passage.heading for passage in passages]
    wanted = typed.casefold().split()
    return [name for name in dict.fromkeys(known) if _has(name.casefold(), wanted)]


def _has(name: str, wanted: Sequence[str]) -> bool:
    parts = [part.strip("“”\"'?,.:(") for part in name.split()]
    return all(any(part.startswith(word.strip("?")) for part in parts) for word in wanted)


def _of_version(ctx: Context, book: Book | None) -> str:
    if book is None or book.version is None:
        return ""
    told = ctx.translate("version {number} of {date}", number=book.version.number, date=book.version.date)
    return f", {told}"


def _bracketed(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]")


def _short(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"
