"""What a card says of the server that answered or drew, where that is not our model server."""

from __future__ import annotations

from bot import Answered, Context, Drawn


def add_upstream_facts(ctx: Context, card: dict[str, str], *answers: Answered | Drawn) -> dict[str, str]:
    """Return a card without the options that a model does not know, and with what is different at its server."""
    unknown = sorted({name for answer in answers for name in answer.left_out if name in card})
    facts = {name: value for name, value in card.items() if name not in unknown}
    if unknown:
        facts[ctx.translate("without")] = ", ".join(unknown)
    if "tokens" in facts and any(isinstance(answer, Answered) and not answer.is_counted for answer in answers):
        facts["tokens"] = f"≈ {facts['tokens']}"
    if "seed" in facts and any(not answer.repeats for answer in answers):
        facts[ctx.translate("same seed")] = ctx.translate("may give other text")
    if sent_to := ", ".join(dict.fromkeys(answer.sent_to for answer in answers if answer.sent_to)):
        facts[ctx.translate("sent to")] = sent_to
    return facts
