"""The door: the join code that lets people in, and the link that makes somebody a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.platforms.web.access import visitors
from bot.platforms.web.templates import language_of, page, static_url

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.platforms.web.access.teachers import WebModerators

OPEN_PATHS = frozenset({"/join", "/teacher"})
OPEN_FILES = frozenset({"css/style.css", "js/shared/theme.js", "js/pages/teacher.js", "icon.svg"})
"""What is served to those who have not given the join code; the files are of `static/`."""
PAGES_HERE = frozenset({"/", "/dial", "/settings", "/statistics"})
"""These lead to the door, and no program of theirs has to be told that it is shut."""


class Login:
    """Asks for the join code where there is one, and takes teachers' codes."""

    def __init__(self, code: str, moderators: WebModerators) -> None:
        self._join = visitors.JoinCode(code)
        self._teachers = visitors.JoinCode("")
        self._moderators = moderators

    def routes(self) -> list[web.RouteDef]:
        """What the door answers to."""
        return [
            web.get("/join", self._ask_code),
            web.post("/join", self._take_code),
            web.get("/teacher", self._ask_teacher),
            web.post("/teacher", self._take_teacher),
        ]

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware that keeps out those who do not know the code."""
        if not _is_open(request.path) and not self._join.admits(request):
            if _is_page(request.path):
                raise web.HTTPSeeOther("/join" if request.path_qs == "/" else f"/join?to={quote(request.path_qs)}")
            raise web.HTTPUnauthorized(text="Give the join code first, at /join.")
        return await handler(request)

    async def _ask_code(self, request: web.Request) -> web.Response:
        if self._join.admits(request):
            raise web.HTTPSeeOther(_wanted(request))
        return await _form(request, "join")

    async def _take_code(self, request: web.Request) -> web.Response:
        # Nothing is awaited between a try and its verdict: pupils who come at once are no tries to each other.
        typed = await _typed(request)
        if wait := self._join.wait(request.remote or ""):
            return await _too_many(request, "join", wait)
        if not self._join.matches(typed):
            error = translate("That is not the code. Ask whoever runs this chat for it.", language_of(request))
            return await _form(request, "join", error, 403)
        self._join.give_back(request.remote or "")
        return self._let_in(web.Response(status=303, headers={"Location": _wanted(request)}))

    async def _ask_teacher(self, request: web.Request) -> web.Response:
        return await _form(request, "teacher")

    async def _take_teacher(self, request: web.Request) -> web.Response:
        """Take a code, and not by GET: programs that only look at links must not use it up."""
        # A form that does not come whole is no try.
        typed = await _typed(request)
        if wait := self._teachers.wait(request.remote or ""):
            return await _too_many(request, "teacher", wait)
        secret = visitors.secret_of(request) or visitors.new_secret()
        user = visitors.user_of(secret, "", "")
        try:
            await self._moderators.sign_in(typed, user.id)
        except UserError as error:
            return await _form(request, "teacher", error.sentence.in_language(language_of(request)), 403)
        self._teachers.give_back(request.remote or "")
        response = web.Response(status=303, headers={"Location": "/"})
        visitors.remember(response, secret)
        return self._let_in(response)

    def _let_in(self, response: web.Response) -> web.Response:
        # Lax, so that following a link to the chat does not ask for the code again.
        response.set_cookie(
            visitors.PASS_COOKIE,
            self._join.pass_value,
            max_age=visitors.COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
        )
        return response


async def _typed(request: web.Request) -> str:
    typed = (await request.post()).get("code", "")
    return typed if isinstance(typed, str) else ""


async def _too_many(request: web.Request, name: str, wait: float) -> web.Response:
    seconds = int(wait) + 1
    error = translate("That was too many tries. Wait {seconds} s.", language_of(request), seconds=seconds)
    response = await _form(request, name, error, 429)
    response.headers["Retry-After"] = str(seconds)
    return response


async def _form(request: web.Request, name: str, error: str = "", status: int = 200) -> web.Response:
    response = await page(request, name, error=error, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _wanted(request: web.Request) -> str:
    """The page that somebody wanted who was led to the door, with its query; the chat where it is none of ours."""
    to = request.query.get("to", "")
    return to if _is_page(to.partition("?")[0]) and to.isascii() and to.isprintable() else "/"


def _is_page(path: str) -> bool:
    return path in PAGES_HERE or path.startswith(f"{PAGES_PATH}/")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.removeprefix(f"{static_url()}/") in OPEN_FILES
