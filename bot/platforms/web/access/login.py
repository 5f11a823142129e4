"""The login: the join code that opens the chat, and the code that makes a visitor a teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from aiohttp import web

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.platforms.web.access import visitors
from bot.platforms.web.access.join_code import WrongTries
from bot.platforms.web.templates import language_of, render_page, static_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from bot.core.messages import User
    from bot.platforms.web.access.join_code import JoinCode
    from bot.platforms.web.access.known import KnownVisitors
    from bot.platforms.web.access.people import People
    from bot.platforms.web.access.teachers import WebModerators

OPEN_PATHS = frozenset({"/join", "/teacher"})
OPEN_FILES = frozenset(
    {
        "css/style.css",
        "icon.svg",
        "js/pages/join.js",
        "js/pages/teacher.js",
        "js/shared/first.js",
        "js/shared/fragment.js",
    }
)
"""Files in `static/` that are served without the join code, since the two forms need them."""
TEACHERS_PATH = "/class"
"""The teachers' start page, where their sign-in leads."""
PAGES = {
    "/": "chat",
    TEACHERS_PATH: "class",
    **{f"/{name}": name for name in ("dial", "duel", "people", "private", "settings", "statistics")},
}
"""The paths of pages for people that look alike for all, with the names of their templates."""
KNOCK_PATH = "/knock"


class Login:
    """Asks for the join code if one is set, and makes visitors with a teacher's code moderators."""

    def __init__(
        self,
        code: JoinCode,
        moderators: WebModerators,
        people: People,
        known: KnownVisitors,
        tell_others: Callable[[User], None],
    ) -> None:
        """`tell_others` tells the other moderators of somebody who has signed in."""
        self._join_code = code
        self._wrong_tries = WrongTries()
        self._moderators = moderators
        self._people = people
        self._known = known
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
            if is_page(request.path):
                raise web.HTTPSeeOther("/join" if request.path_qs == "/" else f"/join?to={quote(request.path_qs)}")
            raise web.HTTPUnauthorized(text="Give the join code first, at /join.")
        return await handler(request)

    async def _show_join_form(self, request: web.Request) -> web.Response:
        must_join_again = self._join_code.is_set and self._known[_visitor_id(request)].ended
        if self._join_code.admits(request) and not must_join_again:
            raise web.HTTPSeeOther(_requested_page(request))
        sentence = "A moderator has ended your visit. With the join code you can come in again."
        error = translate(sentence, language_of(request)) if must_join_again else ""
        return await _render_form(request, "join", error)

    async def _submit_join_code(self, request: web.Request) -> web.Response:
        if not self._join_code.matches((await _read_form(request)).get("code", "")):
            error = translate("That is not the code. Ask whoever runs this chat for it.", language_of(request))
            return await self._refuse(request, "join", error)
        if self._known[user_id := _visitor_id(request)].ended:
            await self._known.change(user_id, ended=False)
        response = web.Response(status=303, headers={"Location": _requested_page(request)})
        self._join_code.set_pass_cookie(request, response)
        return response

    async def _show_teacher_form(self, request: web.Request) -> web.Response:
        return await _render_form(request, "teacher")

    async def _submit_teacher_code(self, request: web.Request) -> web.Response:
        """Sign a teacher in. Only by POST, because programs that preview links must not use the code up."""
        form = await _read_form(request)
        secret = visitors.read_or_create_secret(request)
        user = visitors.user_from_secret(secret, "", "")
        # As the moderator that they are about to become, who may be called a teacher.
        user = replace(user, name=self._people.name_of(replace(user, is_moderator=True), form.get("name", "")))
        try:
            await self._moderators.sign_in(form.get("code", ""), user)
        except UserError as error:
            return await self._refuse(request, "teacher", error.sentence.in_language(language_of(request)))
        self._tell_others(user)
        response = web.Response(status=303, headers={"Location": TEACHERS_PATH})
        visitors.set_visitor_cookie(request, response, secret)
        self._join_code.set_pass_cookie(request, response)
        return response

    async def _refuse(self, request: web.Request, name: str, error: str) -> web.Response:
        """Show a form again after a wrong code: with the error, or with the time to wait after too many of them."""
        if not (wait := self._wrong_tries.count(request.remote or "")):
            return await _render_form(request, name, error, 403)
        seconds = int(wait) + 1
        error = translate("That was too many tries. Wait {seconds} s.", language_of(request), seconds=seconds)
        response = await _render_form(request, name, error, 429)
        response.headers["Retry-After"] = str(seconds)
        return response


def _visitor_id(request: web.Request) -> str:
    """Return the id of the visitor; of one without a cookie, an id that nobody else has."""
    return visitors.user_from_secret(visitors.read_or_create_secret(request), "", "").id


async def _read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form as our pages send them; whatever else was sent has none of them."""
    return dict(parse_qsl((await request.read()).decode(errors="replace")))


async def _render_form(request: web.Request, name: str, error: str = "", status: int = 200) -> web.Response:
    response = await render_page(request, name, error=error, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _requested_page(request: web.Request) -> str:
    """Return the page, with its query, that redirected to the join form; the chat if it is none of our pages."""
    target = request.query.get("to", "")
    return target if is_page(target.partition("?")[0]) and target.isascii() and target.isprintable() else "/"


def is_page(path: str) -> bool:
    """Return whether a path is that of a page for people.

    Without the join code these redirect to its form, while all other paths answer with 401.
    """
    return path in PAGES or path == KNOCK_PATH or path.startswith(f"{PAGES_PATH}/")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.removeprefix(f"{static_url()}/") in OPEN_FILES
