"""/duel: a round of forger and detective. Of the faces on a sheet, which are real, and which are forged?"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar

from bot import (
    Attachment,
    Button,
    Choice,
    Context,
    DatabaseUnavailable,
    Numbers,
    Person,
    Plugin,
    Range,
    Reply,
    UserError,
    command,
    new_seed,
    plain_name,
    repeat,
    until_stored,
)
from plugins.duel.rounds import SETTLING_SECONDS, Marks, Round, Rounds, server_key
from plugins.duel.truth import list_numbers, tell_truth
from plugins.shared.keys import place_key

FACES = 12
NUMBERS = Numbers(1, FACES, most=FACES)
SHOW_TRUTH = FACES + 1
"""The choice behind the button Vote that ends the round; only who began it has it, and moderators if it has a clock."""
DRAWING_SECONDS = 300.0
"""The longest time that a sheet may take until it is drawn, for which nobody else can begin a round."""
LARGEST_ID = 2**53 - 1
"""Rounds are numbered up to this one. A text as an option would be checked and quoted as if somebody had written it."""
TICK_SECONDS = 3.0
"""How often the number of people who have voted is shown anew."""
MOST_SCORES = 10
PURGE_SECONDS, SOON_PURGE_SECONDS = 3600.0, 60.0


@dataclass(slots=True)
class _Live:
    """A round that this process plays, as it was read last; `ending` is set to end it."""

    played: Round
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Wait for so many seconds, or until the round is to end."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self.ending.wait()
        except TimeoutError:
            return


class DuelPlugin(Plugin):
    """Rounds of votes, each for one place."""

    name = "duel"
    title = "Forger and detective (/duel)"
    second: ClassVar[float] = 1.0
    """How long a second of a round lasts; tests make it shorter."""

    async def start(self) -> None:
        self.rounds = Rounds(self.host.store, self.host.retention_days)
        self._live: dict[str, _Live] = {}
        self.spawn(repeat(self.rounds.purge, PURGE_SECONDS if self.host.retention_days else SOON_PURGE_SECONDS))

    @command(private_options=("forged",))
    async def duel(
        self,
        ctx: Context,
        show: Choice["round", "scores"] = "round",  # noqa: UP037 - values, not types
        seconds: Range[int, 10, 300] = 60,
        seed: Range[int, 0, 2147483647] | None = None,
        forged: Annotated[Range[str, 1, 60], NUMBERS] | None = None,
    ) -> AsyncIterator[Reply]:
        """Play forger and detective: which faces are real?

        show: A round to play, or the score table of this server
        seconds: How long everybody can vote, 10 to 300 seconds
        seed: The same seed gives the same faces again; such a round does not count in the score table
        forged: Where you play alone: the numbers of the faces that you take for forged
        """
        if show == "scores":
            yield await self._show_scores(ctx)
        elif forged is not None and ("forged" in ctx.request.options or not self._is_alone(ctx)):
            yield await self._guess(ctx, forged)
        elif self._is_alone(ctx):
            # Again under a guess that was typed begins the next round.
            yield Reply(status=ctx.translate("Drawing …"))
            yield await self._begin_alone(ctx, seed)
        else:
            yield Reply(status=ctx.translate("Drawing …"))
            async for reply in self._play(ctx, seconds, seed):
                yield reply

    # A round of everybody in a place

    async def _play(self, ctx: Context, seconds: int, seed: int | None) -> AsyncIterator[Reply]:
        place, round_id = place_key(ctx.place), _new_id()
        await self.rounds.claim(place, round_id, DRAWING_SECONDS)
        try:
            counts = server_key(ctx.place) if seed is None and ctx.place.server else ""
            begun = await self._begin(ctx, round_id, seed, ends=seconds * self.second, counts=counts)
            await self.rounds.claim(place, round_id, begun.ends - time.time())
            sheet = self._sheet(ctx, begun, await self.rounds.sheet(round_id))
            live = self._live[round_id] = _Live(begun)
            voters = 0
            while not live.played.is_over:
                # What cannot be read for a moment is as it was.
                with suppress(UserError):
                    voters = len(await self.rounds.all_marks(round_id))
                yield self._invite(ctx, begun, sheet, voters)
                await live.wait(min(TICK_SECONDS, begun.ends - time.time()))
                with suppress(UserError):
                    live.played = await self.rounds.find(round_id) or begun
            await asyncio.sleep(SETTLING_SECONDS * self.second)
            marks = await until_stored(partial(self.rounds.finish, begun))
            if begun.server:
                await self.rounds.count_scores(begun.server, marks, begun.real)
            told = await tell_truth(begun, sheet.data, marks)
            # Whoever presses Again as soon as it appears finds the place free.
            await self.rounds.leave(place, round_id)
            # Where no answer is kept, a button would find none.
            yield told if self.host.retention_days else replace(told, buttons=())
        except asyncio.CancelledError:
            # It was stopped, or the bot ends, which `conclude` knows of. In either case no mark counts any more.
            if round_id in self._live:
                with suppress(DatabaseUnavailable):
                    await self.rounds.change(round_id, ends=1.0)
            raise
        finally:
            self._live.pop(round_id, None)
            await self.rounds.leave(place, round_id)

    async def _begin(self, ctx: Context, round_id: str, seed: int | None, *, ends: float, counts: str) -> Round:
        """Draw a sheet and store the round. `ends` is how many seconds it lasts, 0 for one without an end."""
        drawn = await ctx.models.duel(seed=new_seed() if seed is None else seed, count=FACES, user=ctx.user.id)
        begun = Round(
            id=round_id,
            answer=ctx.answer,
            place=place_key(ctx.place) if ends else "",
            server=counts,
            locale=ctx.user.locale,
            ends=time.time() + ends if ends else 0.0,
            real=drawn.real,
            verdicts=drawn.verdicts,
            model=drawn.model,
            seed=drawn.seed,
        )
        await self.rounds.begin(begun, drawn, ctx.user, ctx.place.platform)
        return begun

    @staticmethod
    def _sheet(ctx: Context, begun: Round, png: bytes) -> Attachment:
        alt = ctx.translate("{count} numbered faces, half of them real emoji and half forged.", count=len(begun.real))
        return Attachment(f"duel-{begun.id}.png", png, "image/png", alt=alt)

    def _invite(self, ctx: Context, begun: Round, sheet: Attachment, voters: int) -> Reply:
        """Return the sheet with the button for everybody, how many have voted, and how long the round goes on."""
        sentence = (
            "Six of these faces are real emoji, and six are forged. Press “{vote}” and mark the forged ones; you can "
            "change your marks until the end, and nobody else sees them."
        )
        vote = ctx.translate("Vote")
        text = ctx.translate(sentence, vote=vote)
        if countdown := ctx.capabilities().show_countdown(begun.ends):
            ends = ctx.translate("The truth comes {when}.", when=countdown)
        else:
            ends = ctx.translate("About {count} seconds are left.", count=_round_up(begun.ends - time.time()))
        have = ctx.translate("1 has voted.", "{count} have voted.", count=voters)
        button = Button(vote, "duel-mark", {"round_id": int(begun.id)}, style="primary", choices=SHOW_TRUTH)
        return Reply(text=text, status=f"{have} {ends}", attachments=(sheet,), buttons=(button,))

    async def forget(self, person: Person) -> Collection[int]:
        """Return the answers that name somebody; everything else of theirs stands under their id."""
        return await self.rounds.answers_naming(person)

    async def conclude(self, answer: int) -> Reply | None:
        """Tell the truth of a round that a restart has cut short, with the marks that there were."""
        played = await self.rounds.find_of_answer(answer)
        if played is None:
            return None
        await self.rounds.leave(played.place, played.id)
        marks = await self.rounds.finish(played)
        return await tell_truth(played, await self.rounds.sheet(played.id), marks, is_cut_short=True)

    @command("duel-mark", hidden=True, private=True, free=True)
    async def mark(
        self, ctx: Context, round_id: Range[int, 1, LARGEST_ID], choice: Range[int, 0, SHOW_TRUTH] = 0
    ) -> AsyncIterator[Reply]:
        """Mark a face as forged, or take the mark back."""
        # Hundreds may press within a second, so that the round is read only if another process plays it.
        live = self._live.get(key := str(round_id))
        played = await self.rounds.find(key) if live is None else live.played
        if played is None:
            raise UserError("This round is no longer stored.")
        is_vote = 0 < choice <= FACES and not played.is_over
        whose = key, ctx.place.platform, ctx.user
        marks = await (self.rounds.toggle(*whose, choice) if is_vote else self.rounds.own(*whose))
        may_end = marks.began or (bool(played.ends) and (ctx.user.is_moderator or ctx.user.is_operator))
        if played.is_over:
            yield self._tell_own(ctx, played, marks)
        elif choice != SHOW_TRUTH:
            yield self._ballot(ctx, marks, may_end=may_end)
        elif may_end and not played.ends:
            yield replace(await self._end_alone(played), attachments=())
        elif may_end:
            now = time.time()
            await self.rounds.change(played.id, ends=now)
            if live is not None:
                live.played = replace(live.played, ends=now)
                live.ending.set()
            yield Reply(text=ctx.translate("The round ends now."), final=True)
        else:
            raise UserError("Only who began the round and moderators can end it.")

    @staticmethod
    def _ballot(ctx: Context, marks: Marks, *, may_end: bool) -> Reply:
        """Return the marks of a user, with a button for each face to change them."""
        text = ctx.translate("Press the numbers of the faces that you take for forged.")
        if marks.forged:
            text = ctx.translate("You take these for forged: {numbers}.", numbers=list_numbers(sorted(marks.forged)))
        buttons = [
            Button(f"✗ {number}" if number in marks.forged else str(number), "duel-mark", style=_style(number, marks))
            for number in range(1, FACES + 1)
        ]
        if may_end:
            buttons.append(Button(ctx.translate("Show the truth now"), "duel-mark", style="danger"))
        return Reply(text=text, buttons=tuple(buttons), final=True)

    @staticmethod
    def _tell_own(ctx: Context, played: Round, marks: Marks) -> Reply:
        """Return what a user marked in a round that is over, and how much of it was right."""
        over = ctx.translate("This round is over.")
        if not marks.forged:
            return Reply(text=f"{over} {ctx.translate('You have marked nothing.')}", final=True)
        took = ctx.translate("You took these for forged: {numbers}.", numbers=list_numbers(sorted(marks.forged)))
        right = {"right": marks.count_right(played.real), "count": len(played.real)}
        return Reply(
            text=f"{over} {took} {ctx.translate('You were right about {right} of {count}.', **right)}", final=True
        )

    # A round of somebody alone

    @staticmethod
    def _is_alone(ctx: Context) -> bool:
        """Return whether nobody else could vote, so that there is no need for a clock."""
        return ctx.request.alone or ctx.capabilities().is_local or bool(ctx.settings["answers.private"])

    async def _begin_alone(self, ctx: Context, seed: int | None) -> Reply:
        begun = await self._begin(ctx, _new_id(), seed, ends=0, counts="")
        sheet = self._sheet(ctx, begun, await self.rounds.sheet(begun.id))
        sentence = (
            "Six of these faces are real emoji, and six are forged. Which are forged? Press “{vote}”, then “{truth}”, "
            "or type all of them at once, such as `/duel forged:1,4,7`."
        )
        vote, truth = ctx.translate("Vote"), ctx.translate("Show the truth now")
        buttons = (
            Button(vote, "duel-mark", {"round_id": int(begun.id)}, style="primary", choices=SHOW_TRUTH),
            Button(truth, "duel-truth", {"round_id": int(begun.id)}),
        )
        text = ctx.translate(sentence, vote=vote, truth=truth)
        return Reply(text=text, attachments=(sheet,), buttons=buttons, final=True)

    async def _guess(self, ctx: Context, forged: str) -> Reply:
        if not self._is_alone(ctx):
            sentence = "Vote with the button below the round, so that nobody else sees your marks."
            raise UserError(sentence)
        played = await self.rounds.find_alone(ctx.place.platform, ctx.user)
        if played is None:
            raise UserError("You have no round whose truth you do not know yet; /duel begins one.")
        numbers = NUMBERS.parse(forged)
        await self.rounds.mark(played.id, ctx.place.platform, ctx.user, _whole(numbers))
        return await self._end_alone(played)

    @command("duel-truth", hidden=True, free=True)
    async def truth(self, ctx: Context, round_id: Range[int, 1, LARGEST_ID]) -> AsyncIterator[Reply]:
        """Tell the truth of a round that somebody plays alone."""
        played = await self.rounds.find(str(round_id))
        own = await self.rounds.own(str(round_id), ctx.place.platform, ctx.user)
        if played is None or played.ends or not own.began:
            raise UserError("This round is no longer stored.")
        yield await self._end_alone(played)

    async def _end_alone(self, played: Round) -> Reply:
        marks = await self.rounds.finish(played)
        return await tell_truth(played, await self.rounds.sheet(played.id), marks)

    # Scores

    async def _show_scores(self, ctx: Context) -> Reply:
        table = await self.rounds.scores(server_key(ctx.place)) if ctx.place.server else []
        table = table[:MOST_SCORES]
        if not table:
            raise UserError("There are no scores here yet: a round of /duel in a channel begins the table.")
        lines = [
            f"{number}. {plain_name(one.name)}: "
            + ctx.translate(
                "{right} of {faces} right, rounds: {rounds}, {best} in the best one",
                right=one.right,
                faces=one.faces,
                rounds=one.rounds,
                best=one.best,
            )
            for number, one in enumerate(table, 1)
        ]
        await self.rounds.note_names([one.key for one in table], ctx.answer)
        return Reply(text="\n".join(lines), final=True)


def _new_id() -> str:
    """Return the id of a new round."""
    return str(secrets.randbelow(LARGEST_ID) + 1)


def _style(number: int, marks: Marks) -> str:
    return "primary" if number in marks.forged else "secondary"


def _whole(numbers: Iterable[float]) -> list[int]:
    """Return these as whole numbers. Raises UserError if one is not."""
    if any(number != int(number) for number in numbers):
        raise UserError("The faces have whole numbers from 1 to {count}.", count=FACES)
    return [int(number) for number in numbers]


def _round_up(seconds: float) -> int:
    """Return seconds rounded up to five, so that a message changes seldom."""
    return 5 * math.ceil(max(0.0, seconds) / 5)
