"""Refusals as the audit keeps them, and as the asker is told of them."""

import asyncio
from collections.abc import Callable

from fakes.core.echo_plugin import Echo
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last

from bot.app import Bot
from bot.core.messages import Action, Request
from bot.storage.audit import APPEAL, AuditFilter

BLOCKING = {"safety.level": "standard", "safety.words": "radish"}


async def test_a_stranger_cannot_fill_the_audit_with_refusals(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings=BLOCKING) as bot:
        same = [await last(bot, ask("/ask radish")) for _ in range(30)]
        others = [await last(bot, ask(f"/ask radish {number}")) for number in range(70)]
        rows = await bot.audit.find("test", "school", AuditFilter(actor=ANN.id))
        elsewhere = await last(bot, ask("/ask radish", MODERATOR))
    assert len(rows) == 21
    assert sum(row.times for row in rows) == 100
    assert all(reply.text == same[0].text for reply in (*same, *others))
    # Moderators would see other words than those that an appeal is about.
    offers = [[button.label for button in reply.buttons] for reply in (*same, *others, elsewhere)]
    assert offers == [["Appeal"]] * 49 + [[]] * 51 + [["Appeal"]]
    assert {reply.status for reply in others} == {"Reason: a blocked word"}


async def test_presses_at_the_same_time_make_one_appeal(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings=BLOCKING) as bot:
        [button] = (await last(bot, ask("/ask radish"))).buttons
        appeal = Request(user=ANN, place=ROOM, action=Action(button.id))
        told = await asyncio.gather(*(last(bot, appeal) for _ in range(5)))
        appeals = await bot.audit.find("test", ROOM.server, AuditFilter(kind=APPEAL))
    assert len(appeals) == 1
    assert sorted(reply.error for reply in told) == [False, True, True, True, True]
