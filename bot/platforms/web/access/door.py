"""The door of the chat: newcomers knock if they must, and whoever was sent out joins again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.core.errors import UserError
from bot.core.messages import User
from bot.platforms.web.access import visitors
from bot.platforms.web.access.login import KNOCK_PATH, OPEN_PATHS, is_page
from bot.platforms.web.sent_json import parse_body
from bot.platforms.web.templates import language_of, render_page, static_url
from http_server.addresses import stands_for_many

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiohttp.typedefs import Handler

    from bot.platforms.web.access.join_code import JoinCode
    from bot.platforms.web.access.known import KnownVisitors
    from bot.platforms.web.access.people import People
    from bot.platforms.web.access.waiting import WaitingRoom

STATE_PATH = f"{KNOCK_PATH}/state"
NEW, WAITING, TURNED_AWAY, IN, CODE = "new", "waiting", "turned away", "in", "code"
"""What a visitor at the door is told: they can knock, wait, were turned away, may come in, or need the join code."""


class Knock(BaseModel):
    """How a newcomer wishes to be called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=200)]


class Door:
    """Keeps out who must knock or join again, and lets them do it.

    Nobody outside can read anything of the chat, except that a name is taken.
    """

    def __init__(
        self,
        code: JoinCode,
        people: People,
        known: KnownVisitors,
        waiting: WaitingRoom,
        resolve: Callable[[User], User],
        must_knock: Callable[[], bool],
        address_of: Callable[[web.Request], str],
    ) -> None:
        """`resolve` returns a visitor with their rights, and `must_knock` whether newcomers must."""
        self._code = code
        self._people = people
        self._known = known
        self._waiting = waiting
        self._resolve = resolve
        self._must_knock = must_knock
        self._address_of = address_of

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(KNOCK_PATH, self._serve_page),
            web.get(STATE_PATH, self._serve_state),
            web.post(KNOCK_PATH, self._serve_knock),
        ]

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests from those who are not let in. An aiohttp middleware."""
        is_open = request.path in (*OPEN_PATHS, KNOCK_PATH, STATE_PATH) or request.path.startswith(f"{static_url()}/")
        if not is_open and not self._admits(self._visitor(request)):
            if is_page(request.path):
                to = "" if request.path_qs == "/" else f"?to={quote(request.path_qs)}"
                raise web.HTTPSeeOther(f"{KNOCK_PATH}{to}")
            raise web.HTTPForbidden(text="Wait at /knock until you are let in.")
        return await handler(request)

    def _admits(self, user: User) -> bool:
        """Return whether a visitor is let in."""
        known = self._known[user.id]
        if user.is_moderator:
            return True
        return not known.ended and (known.let_in or not self._must_knock())

    def _visitor(self, request: web.Request) -> User:
        secret = visitors.read_or_create_secret(request)
        return self._resolve(visitors.user_from_secret(secret, "", language_of(request)))

    async def _serve_page(self, request: web.Request) -> web.Response:
        response = await render_page(request, "knock")
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _serve_state(self, request: web.Request) -> web.Response:
        user = self._visitor(request)
        self._waiting.note(user.id)
        return self._state(user)

    def _state(self, user: User) -> web.Response:
        known, minutes = self._known[user.id], self._waiting.minutes_turned_away(user.id)
        state = NEW
        if self._admits(user):
            state = IN
        elif known.ended and self._code.is_set:
            state = CODE
        elif user.id in self._waiting:
            state = WAITING
        elif minutes:
            state = TURNED_AWAY
        person = self._people.find(user.id)
        name = person.name if person is not None and person.is_named else ""
        about = {"state": state, "name": name, "ended": known.ended, "minutes": minutes, "waits": self._must_knock()}
        return web.json_response(about, headers={"Cache-Control": "no-store"})

    async def _serve_knock(self, request: web.Request) -> web.Response:
        secret = visitors.read_or_create_secret(request)
        user = self._resolve(visitors.user_from_secret(secret, "", language_of(request)))
        try:
            await self._knock(request, user, await request.read())
        except UserError as error:
            return web.json_response({"error": error.sentence.in_language(user.locale)}, status=422)
        response = self._state(user)
        visitors.set_visitor_cookie(request, response, secret)
        return response

    async def _knock(self, request: web.Request, user: User, body: bytes) -> None:
        known = self._known[user.id]
        if self._admits(user) or (known.ended and self._code.is_set):
            return
        wished = parse_body(Knock, body).name
        address = "" if stands_for_many(request.remote or "") else self._address_of(request)
        if self._must_knock():
            self._waiting.check(user.id, address)
        agent = request.headers.get("User-Agent", "")
        self._people.expect(user, known.name or wished, self._address_of(request), agent)
        if known.ended:
            await self._known.change(user.id, ended=False)
        if self._must_knock():
            self._waiting.knock(user.id, address)

    async def let_in(self, here: Collection[str]) -> None:
        """Let in those who are `here` already if newcomers must knock, and forget those who wait no longer.

        Pages of those are closed whose visit another process has ended.
        """
        for user_id in here:
            if self._known[user_id].ended and not self._resolve(User(user_id, "")).is_moderator:
                self._people.end(user_id)
        for user_id in self._waiting.drop_stale():
            self._people.forget(user_id)
        # Another process may have let them in.
        self._waiting.remove([one.id for one in self._waiting.waiting if self._known[one.id].let_in])
        if self._must_knock():
            for user_id in here:
                known = self._known[user_id]
                if not (known.let_in or known.ended):
                    await self._known.change(user_id, let_in=True)
        else:
            self._waiting.remove([one.id for one in self._waiting.waiting])
