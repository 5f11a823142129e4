"""What is told at the end of a round: the truth, how many faces each one judged rightly, and who won."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from bot import Attachment, Button, Reply, plain_name, translate
from plugins.duel.rounds import Marks, Round
from plugins.duel.sheet import mark_truth

MOST_NAMES = 20
"""How many people are listed with what they reached; the others find it behind the button."""


async def tell_truth(played: Round, sheet: bytes, marks: Mapping[str, Marks], *, is_cut_short: bool = False) -> Reply:
    """Return the last reply of a round, in its language. `is_cut_short` says that a restart of the bot ended it."""
    locale, real = played.locale, played.real
    marked = await asyncio.to_thread(mark_truth, sheet, real)
    truth = translate(
        "Real: {real}. Forged: {forged}.",
        locale,
        real=list_numbers([number for number, is_real in enumerate(real, 1) if is_real]),
        forged=list_numbers([number for number, is_real in enumerate(real, 1) if not is_real]),
    )
    paragraphs = [f"**{truth}**", *_tell_scores(played, list(marks.values()), locale)]
    if is_cut_short:
        sentence = (
            "The bot was restarted in the middle of this round, so it ended with the marks that there were. It does "
            "not count in the score table."
        )
        paragraphs.insert(0, translate(sentence, locale))
    # As many choices as before, so that a button of somebody's marks that is still open tells what they reached.
    own = Button(translate("My marks", locale), "duel-mark", {"round_id": int(played.id)}, choices=len(real) + 1)
    return Reply(
        text="\n\n".join(paragraphs),
        attachments=(Attachment(f"duel-{played.seed}.png", marked, "image/png", alt=truth),),
        card={"model": played.model, "seed": str(played.seed)},
        buttons=(own,) if played.ends else (),
        final=True,
    )


def _tell_scores(played: Round, marks: Sequence[Marks], locale: str) -> list[str]:
    real, most = played.real, len(played.real)
    detective = judge(played.verdicts)
    detective_right = detective.count_right(real)
    said = translate("The detective was right about {right} of {count}.", locale, right=detective_right, count=most)
    if not marks:
        return [f"{translate('Nobody has voted.', locale)} {said}"]
    ranked = sorted(marks, key=lambda one: (-one.count_right(real), one.name))
    lines = [
        f"- {plain_name(one.name)}: " + translate("{right} of {count}", locale, right=one.count_right(real), count=most)
        for one in ranked[:MOST_NAMES]
    ]
    if len(ranked) > MOST_NAMES:
        lines.append(f"- {translate('and 1 more', locale, 'and {count} more', count=len(ranked) - MOST_NAMES)}")
    together = majority(marks, most)
    right = together.count_right(real)
    summary = [said]
    if len(marks) > 1:
        sentence = "All of you together, by majority, were right about {right} of {count}."
        summary.insert(0, translate(sentence, locale, right=right, count=most))
    if right > detective_right:
        summary.append(translate("You have beaten the detective.", locale))
    elif right < detective_right:
        summary.append(translate("The detective has won.", locale))
    else:
        summary.append(translate("That is a draw between you and the detective.", locale))
    if fooled := [number for number, is_real in enumerate(real, 1) if not is_real and number not in together.forged]:
        numbers = list_numbers(fooled)
        summary.append(translate("The forger has fooled you with: {numbers}.", locale, numbers=numbers))
    return ["\n".join(lines), " ".join(summary)]


def judge(verdicts: Sequence[float]) -> Marks:
    """Return the marks of the detective: what it takes for more probably forged than real."""
    return Marks("", frozenset(number for number, is_real in enumerate(verdicts, 1) if is_real < 0.5))


def majority(marks: Sequence[Marks], count: int) -> Marks:
    """Return what more than half of all took for forged, of so many faces."""
    numbers = range(1, count + 1)
    return Marks("", frozenset(n for n in numbers if 2 * sum(n in one.forged for one in marks) > len(marks)))


def list_numbers(numbers: Sequence[int]) -> str:
    """Return numbers with commas between them, or a dash for none."""
    return ", ".join(map(str, sorted(numbers))) or "–"
