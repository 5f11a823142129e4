"""What the pages of the lab ask for: the odds of the next token, and the tokens of an answer."""

from __future__ import annotations

import base64
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.errors import Busy, UserError
from bot.core.messages import Request
from bot.platforms.web.access import visitors
from bot.platforms.web.chat.services import ODDS
from bot.platforms.web.templates import page

if TYPE_CHECKING:
    from bot.commands.command import Command
    from bot.core.model_events import Candidate, Dial
    from bot.platforms.web.chat.services import WebServices

MOST_TEXT = 2000
MOST_IDS = 2000
MOST_PER_VISITOR, MOST = 4, 32
"""Distributions under way. A page asks anew while its last question, given up meanwhile, may still be answered."""
Limits = dict[str, tuple[float, float]]
LIMITS: Limits = {"temperature": (0, 2), "top_p": (0, 1)}
"""How far the knobs go where no /odds has other limits."""


class DialRequest(BaseModel):
    """The odds after a text, or after tokens given by their ids: at all temperatures, and as cut for one of them.

    `writes_on` is a press that goes on with a token, and so a use. Who hides it could as well type the token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(max_length=MOST_TEXT)] = ""
    ids: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...], Field(max_length=MOST_IDS)] = ()
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    writes_on: bool = False


class Lab:
    """The routes of the dial."""

    def __init__(self, house: WebServices) -> None:
        self._house = house
        self._asking: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """What the lab answers to."""
        return [web.get("/dial", self._page), web.post("/dial", self._dial)]

    async def _page(self, request: web.Request) -> web.Response:
        return await page(request, "dial")

    async def _dial(self, request: web.Request) -> web.Response:
        secret = visitors.secret_of(request) or visitors.new_secret()
        bot, place = self._house.bot, self._house.rooms.get(request.query.get("room", "")).place()
        user = bot.resolve_user(self._house.visitor(secret, "", request.query.get("locale", "")), place)
        turned, odds = Request(user=user, place=place), bot.registry.get(ODDS)
        try:
            # No message, and so nothing that dispatch sees: what it may do is what the buttons under /odds may.
            if odds is None:
                bot.admission.check_press(turned, "dial")
            else:
                odds = bot.admission.resolve_command(turned, odds)
            asked, limits = _within(_asked(await request.text()), odds)
            async with bot.admission.count_use(turned, odds) if odds is not None and asked.writes_on else nullcontext():
                answer = web.json_response(_shown(await self._odds(turned, asked)) | {"limits": limits})
        except UserError as error:
            await self._house.note(error, user, "dial" if odds is None else ODDS, place)
            answer = web.json_response({"error": error.sentence.in_language(user.locale)}, status=422)
        visitors.remember(answer, secret)
        return answer

    async def _odds(self, turned: Request, asked: DialRequest) -> Dial:
        bot, place, user_id = self._house.bot, turned.place, turned.user.id
        if self._asking[user_id] >= MOST_PER_VISITOR:
            raise Busy("Your last distributions are still being computed; wait for them.", 1)
        if self._asking.total() >= MOST:
            raise Busy("Too many people are turning the dial at the moment; try again shortly.", 2)
        self._asking[user_id] += 1
        try:
            if asked.text:
                bot.safety.look([asked.text], place, draws=False)
                await bot.safety.ask([asked.text], place, user=user_id)
            dial = await bot.models.dial(
                asked.ids or asked.text,
                temperature=asked.temperature,
                top_p=asked.top_p,
                seed=asked.seed,
                model=await bot.settings.model("ask.model", place),
                user=user_id,
            )
            if asked.ids:
                await bot.safety.answer(b"".join(dial.prompt).decode(errors="replace"), place, user=user_id)
            return await bot.safety.dial(dial, place)
        finally:
            self._asking -= Counter({user_id: 1})


def _asked(body: str) -> DialRequest:
    try:
        asked = DialRequest.model_validate_json(body)
    except ValidationError as error:
        if any((one["loc"], one["type"]) == (("ids",), "too_long") for one in error.errors(include_url=False)):
            sentence = (
                "The dial goes on with a text of up to {most} tokens, and this one has more; take some of it away."
            )
            raise UserError(sentence, most=MOST_IDS) from None
        sentence = "The dial takes a text of 1 to {most} characters and a temperature from 0 to 2."
        raise UserError(sentence, most=MOST_TEXT) from None
    if not asked.text and not asked.ids:
        raise UserError("There is nothing that could be gone on with: type a few words.")
    return asked


def _within(asked: DialRequest, odds: Command | None) -> tuple[DialRequest, Limits]:
    """What is asked, and the limits that /odds has for it; a knob that nobody turned is moved into them.

    Raises OptionError for what was turned beyond.
    """
    limits, moved = dict(LIMITS), {}
    for name in LIMITS:
        option = None if odds is None else odds.option(name)
        if option is None or option.minimum is None or option.maximum is None:
            continue
        limits[name] = (option.minimum, option.maximum)
        value = getattr(asked, name)
        if name in asked.model_fields_set:
            option.convert(value)
        else:
            moved[name] = min(max(value, option.minimum), option.maximum)
    return asked.model_copy(update=moved), limits


def _shown(dial: Dial) -> dict[str, Any]:
    return {
        "model": dial.model,
        "prompt": [_text(piece) for piece in dial.prompt],
        "ids": list(dial.prompt_ids),
        "candidates": [_candidate(one) for one in dial.candidates],
        "drawn": _candidate(dial.drawn),
        "temperatures": list(dial.temperatures),
        "log_sum_exp": list(dial.log_sum_exp),
        "entropy": list(dial.entropy),
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "id": one.id,
        "bytes": _text(one.bytes),
        "logit": one.logit,
        "before": one.before,
        "after": one.after,
        "ends": one.ends,
        "hidden": one.hidden,
    }


def _text(piece: bytes) -> str:
    """Bytes, which may be a part of a character, for JSON."""
    return base64.b64encode(piece).decode()
