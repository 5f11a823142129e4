"""The page of the temperature dial, and the probabilities of the next token that it shows."""

from __future__ import annotations

import base64
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.commands.option import Option
from bot.core.errors import Busy, UserError
from bot.core.messages import Request
from bot.platforms.web.access import visitors
from bot.platforms.web.access.limits import Shares, TooMany
from bot.platforms.web.chat.services import DIAL_COMMAND
from bot.platforms.web.pages.errors import error_response
from bot.settings.builtin import MAX_TEMPERATURE
from bot.settings.option_limits import narrow_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.commands.command import Command
    from bot.core.model_events import Candidate, Dial
    from bot.platforms.web.access.limits import WebLimits
    from bot.platforms.web.chat.services import WebServices

MAX_TEXT_CHARS = 2000
MAX_TOKEN_IDS = 2000
MIN_P_OPTION = ("ask", "min_p")
"""The option whose default says which tokens answers leave out, which the page shows."""
KnobLimits = dict[str, tuple[float, float]]
KNOBS = tuple(
    Option(name=name, type=float, minimum=0, maximum=most)
    for name, most in (("temperature", MAX_TEMPERATURE), ("top_p", 1))
)
"""How far the knobs can be turned, unless the settings or /odds have other limits."""


class DialRequest(BaseModel):
    """A request for the distribution of the token after a text, or after tokens that are given by their ids.

    `writes_on` says that somebody pressed a token to go on with it, which counts as a use of /odds. Nothing is gained
    by leaving it out, since the token could be typed as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    ids: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...], Field(max_length=MAX_TOKEN_IDS)] = ()
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    writes_on: bool = False


class DialPage:
    """Routes of the dial page."""

    def __init__(self, services: WebServices, limits: WebLimits) -> None:
        self._services = services
        self._computing = Shares(limits.distributions)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/dial", self._serve_dial)]

    async def _serve_dial(self, request: web.Request) -> web.Response:
        secret = visitors.read_or_create_secret(request)
        bot, user = self._services.bot, self._services.identify(secret, "", request.query.get("locale", ""))
        place = self._services.place_of(user, request.query.get("room", ""))
        user = bot.admission.resolve_user(user, place)
        press = Request(user=user, place=place, address=self._services.address_of(request))
        odds = bot.registry.get(DIAL_COMMAND)
        try:
            # This is no message, so `Bot.prepare` does not see it. It is admitted like a button under /odds.
            if odds is None:
                bot.admission.check_press(press, "dial")
            else:
                odds = bot.admission.resolve_command(press, odds)
            query, limits = self._apply_limits(_parse_request(await request.read()), press, odds)
            async with bot.admission.count_use(press, odds) if odds is not None and query.writes_on else nullcontext():
                with self._counted(request.remote or "", user.id):
                    dial = await self._compute_dial(press, query)
                min_p = bot.registry.find_default(*MIN_P_OPTION, place, user) or 0.0
                about = {"limits": limits, "min_p": min_p}
                response = web.json_response(_dial_json(dial) | about)
        except UserError as error:
            await self._services.record_refusal(error, user, "dial" if odds is None else DIAL_COMMAND, place)
            response = error_response(error, user, status=422)
        visitors.set_visitor_cookie(request, response, secret)
        return response

    def _apply_limits(self, query: DialRequest, press: Request, odds: Command | None) -> tuple[DialRequest, KnobLimits]:
        """Return the request within its limits, and these. A knob that nobody turned is moved into them.

        Raises OptionError if a knob was turned beyond its limits.
        """
        limits, moved = KnobLimits(), {}
        for knob in KNOBS:
            option = odds and odds.option(knob.name)
            option = option or narrow_option(knob, "", self._services.bot.settings, press.place, press.user)
            limits[knob.name] = (option.clamp(knob.minimum), option.clamp(knob.maximum))
            value = getattr(query, knob.name)
            if knob.name in query.model_fields_set:
                option.convert(value)
            else:
                moved[knob.name] = option.clamp(value)
        return query.model_copy(update=moved), limits

    async def _compute_dial(self, press: Request, query: DialRequest) -> Dial:
        bot, place, user_id = self._services.bot, press.place, press.user.id
        if query.text:
            await bot.safety.check_all_rules([query.text], place, draws=False)
            await bot.safety.check_with_classifier([query.text], place, user=user_id)
        chosen = await bot.settings.model("ask.model", place)
        dial = await bot.settings.models_in(place).dial(
            query.ids or query.text,
            temperature=query.temperature,
            top_p=query.top_p,
            seed=query.seed,
            model=None if chosen is None else chosen.name,
            user=user_id,
        )
        if query.ids:
            await bot.safety.check_answer(b"".join(dial.prompt).decode(errors="replace"), place, user=user_id)
        return await bot.safety.filter_dial(dial, place)

    @contextmanager
    def _counted(self, address: str, user_id: str) -> Iterator[None]:
        """Count the body of the context as one distribution. Raises Busy if too many are being computed."""
        try:
            with self._computing.hold(address, user_id):
                yield
        except TooMany as error:
            if error.of_visitor:
                raise Busy("Your last distributions are still being computed; wait for them.", 1) from None
            raise Busy("Too many people are turning the dial at the moment; try again shortly.", 2) from None


def _parse_request(body: bytes) -> DialRequest:
    try:
        query = DialRequest.model_validate_json(body)
    except ValidationError as error:
        problems = [(problem["loc"], problem["type"]) for problem in error.errors(include_url=False)]
        if (("ids",), "too_long") in problems:
            sentence = (
                "The dial goes on with a text of up to {most} tokens, and this one has more; take some of it away."
            )
            raise UserError(sentence, most=MAX_TOKEN_IDS) from None
        sentence = "The dial takes a text of 1 to {most} characters and a temperature from 0 to 2."
        raise UserError(sentence, most=MAX_TEXT_CHARS) from None
    if not query.text and not query.ids:
        raise UserError("There is nothing that could be gone on with: type a few words.")
    return query


def _dial_json(dial: Dial) -> dict[str, Any]:
    return {
        "model": dial.model,
        "prompt": [_encode_bytes(piece) for piece in dial.prompt],
        "ids": list(dial.prompt_ids),
        "candidates": [_candidate_json(candidate) for candidate in dial.candidates],
        "drawn": _candidate_json(dial.drawn),
        "temperatures": list(dial.temperatures),
        "log_sum_exp": list(dial.log_sum_exp),
        "entropy": list(dial.entropy),
        "partial": dial.is_partial,
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return asdict(candidate) | {"bytes": _encode_bytes(candidate.bytes)}


def _encode_bytes(piece: bytes) -> str:
    """Return bytes as base64 for JSON; they may be only a part of a character."""
    return base64.b64encode(piece).decode()
