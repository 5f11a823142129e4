"""The login: the join code that opens the chat, and the code that makes a visitor a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.platforms.web.access import visitors
from bot.platforms.web.templates import language_of, render_page, static_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from bot.core.messages import User
    from bot.platforms.web.access.teachers import WebModerators

OPEN_PATHS = frozenset({"/join", "/teacher"})
OPEN_FILES = frozenset({"css/style.css", "js/shared/theme.js", "js/pages/teacher.js", "icon.svg"})
"""Files in `static/` that are served without the join code, since the two forms need them."""
PAGE_PATHS = frozenset({"/", "/dial", "/settings", "/statistics"})
"""Pages for people. Without the join code these redirect to its form, while all other paths answer with 401."""


class Login:
    """Asks for the join code if one is set, and makes visitors with a teacher's code moderators."""

    def __init__(self, code: str, moderators: WebModerators, tell_others: Callable[[User], None]) -> None:
        """`tell_others` tells the other moderators of somebody who has signed in."""
        self._join_code = visitors.JoinCode(code)
        self._teacher_tries = visitors.JoinCode("")
        self._moderators = moderators
        self._tell_others = tell_others

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both forms."""
        return [
            web.get("/join", self._show_join_form),
            web.post("/join", self._submit_join_code),
            web.get("/teacher", self._show_teacher_form),
            web.post("/teacher", self._submit_teacher_code),
        ]

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests from those who have not given the join code. An aiohttp middleware."""
        if not _is_open(request.path) and not self._join_code.admits(request):
            if _is_page(request.path):
                raise web.HTTPSeeOther("/join" if request.path_qs == "/" else f"/join?to={quote(request.path_qs)}")
            raise web.HTTPUnauthorized(text="Give the join code first, at /join.")
        return await handler(request)

    async def _show_join_form(self, request: web.Request) -> web.Response:
        if self._join_code.admits(request):
            raise web.HTTPSeeOther(_requested_page(request))
        return await _render_form(request, "join")

    async def _submit_join_code(self, request: web.Request) -> web.Response:
        # Nothing is awaited between counting a try and judging it, so that pupils of one address who come at the same
        # moment do not use up each other's tries.
        typed = await _read_field(request, "code")
        if wait := self._join_code.count_try(request.remote or ""):
            return await _refuse_too_many_tries(request, "join", wait)
        if not self._join_code.matches(typed):
            error = translate("That is not the code. Ask whoever runs this chat for it.", language_of(request))
            return await _render_form(request, "join", error, 403)
        self._join_code.forgive_try(request.remote or "")
        return self._set_pass_cookie(web.Response(status=303, headers={"Location": _requested_page(request)}))

    async def _show_teacher_form(self, request: web.Request) -> web.Response:
        return await _render_form(request, "teacher")

    async def _submit_teacher_code(self, request: web.Request) -> web.Response:
        """Sign a teacher in. Only by POST, because programs that preview links must not use the code up."""
        # Read the form first, so that one which arrives incomplete does not count as a try.
        typed, name = await _read_field(request, "code"), await _read_field(request, "name")
        if wait := self._teacher_tries.count_try(request.remote or ""):
            return await _refuse_too_many_tries(request, "teacher", wait)
        secret = visitors.read_or_create_secret(request)
        user = visitors.user_from_secret(secret, name, "")
        try:
            await self._moderators.sign_in(typed, user)
        except UserError as error:
            return await _render_form(request, "teacher", error.sentence.in_language(language_of(request)), 403)
        self._teacher_tries.forgive_try(request.remote or "")
        self._tell_others(user)
        response = web.Response(status=303, headers={"Location": "/"})
        visitors.set_visitor_cookie(response, secret)
        return self._set_pass_cookie(response)

    def _set_pass_cookie(self, response: web.Response) -> web.Response:
        # Lax, so that following a link to the chat does not ask for the code again.
        response.set_cookie(
            visitors.PASS_COOKIE,
            self._join_code.pass_value,
            max_age=visitors.COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
        )
        return response


async def _read_field(request: web.Request, name: str) -> str:
    typed = (await request.post()).get(name, "")
    return typed if isinstance(typed, str) else ""


async def _refuse_too_many_tries(request: web.Request, name: str, wait: float) -> web.Response:
    seconds = int(wait) + 1
    error = translate("That was too many tries. Wait {seconds} s.", language_of(request), seconds=seconds)
    response = await _render_form(request, name, error, 429)
    response.headers["Retry-After"] = str(seconds)
    return response


async def _render_form(request: web.Request, name: str, error: str = "", status: int = 200) -> web.Response:
    response = await render_page(request, name, error=error, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _requested_page(request: web.Request) -> str:
    """Return the page, with its query, that redirected to the join form; the chat if it is none of our pages."""
    target = request.query.get("to", "")
    return target if _is_page(target.partition("?")[0]) and target.isascii() and target.isprintable() else "/"


def _is_page(path: str) -> bool:
    return path in PAGE_PATHS or path.startswith(f"{PAGES_PATH}/")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.removeprefix(f"{static_url()}/") in OPEN_FILES
