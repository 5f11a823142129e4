"""Receives requests: checks the token, the rate limits and the contract, then calls the handler of the route."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakes.discord import application_routes, limits, routes
from fakes.discord.contract import contract
from fakes.discord.errors import ApiError
from fakes.discord.interactions import Responses
from fakes.discord.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fakes.discord.bodies import Files
    from fakes.discord.world import World

PREFIX = "/api/v10"
JSON = "application/json"
"""Without a charset, since discord.py recognises JSON only so."""


class Call:
    """A request: `args` of its path, and a `body` from JSON, or from the part payload_json if it has `files`."""

    def __init__(self, request: web.Request, path: str) -> None:
        self.method = request.method
        self.path = path
        self.query = dict(request.query)
        self.args = dict(request.match_info)
        self.authorization = request.headers.get("Authorization", "")
        self.arrived = time.monotonic()
        self.body: Any = None
        self.files: Files = {}

    async def read(self, request: web.Request) -> None:
        """Read the body."""
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                if part.name == "payload_json":
                    self.body = json.loads(await part.text())
                else:
                    self.files[part.name or ""] = (part.filename or "", bytes(await part.read()))
        elif request.can_read_body:
            text = await request.text()
            if request.headers.get("Content-Type") != JSON:
                raise ApiError(400, 50035, message=f"Content-Type must be {JSON}")
            self.body = json.loads(text)

    @property
    def message(self) -> dict[str, Any]:
        """The body of a request that needs one."""
        return self.body or {}


class Rest:
    """The REST API. `log` holds method, path, status and monotonic time of each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.limits = Limits()
        self.responses = Responses(world)
        self.log: list[tuple[str, str, int, float]] = []
        self._contract = contract()

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        for method, path, handler in (*routes.ROUTES, *application_routes.ROUTES):
            app.router.add_route(method, PREFIX + path, self._web_handler(handler))
        app.router.add_get("/attachments/{folder}/{id}/{filename}", self._file)
        app.router.add_route("*", PREFIX + "/{rest:.*}", self._web_handler(routes.unknown))

    def _web_handler(self, handler: routes.Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            call = Call(request, request.path.removeprefix(PREFIX))
            headers: dict[str, str] = {}
            try:
                await call.read(request)
                self._check_contract(call)
                if not call.path.startswith(("/webhooks", "/interactions")):
                    self._check_token(call)
                headers, wait = self.limits.take(call.method, call.path)
                status, body, more = self._rate_limited(wait) if wait else self._respond(handler, call)
            except ApiError as error:
                status, body, more = error.status, error.body, {}
            except Exception as error:
                # Otherwise discord.py would only see a 500, and repeat the request for ever.
                self.world.violations.append(f"{call.method} {call.path}: the fake failed: {error!r}")
                raise
            self.log.append((call.method, call.path, status, time.monotonic()))
            text = "" if body is None else json.dumps(body)
            content = {"Content-Type": JSON} if text else {}
            return web.Response(status=status, body=text.encode(), headers={**headers, **content, **more})

        return handle

    def _respond(self, handler: routes.Handler, call: Call) -> tuple[int, Any, dict[str, str]]:
        refusal = self.limits.refusal(call.method, call.path)
        if refusal is not None:
            return refusal.status, refusal.body, refusal.headers
        body = handler(self, call)
        return (204 if body is None else 200), body, {}

    def _rate_limited(self, wait: float) -> tuple[int, Any, dict[str, str]]:
        body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": False}
        return 429, body, {**limits.VIA, "Retry-After": str(int(wait) + 1), "X-RateLimit-Scope": "user"}

    def _check_token(self, call: Call) -> None:
        if call.authorization != f"Bot {self.world.token}":
            raise ApiError(401, 0, message="401: Unauthorized")

    def _check_contract(self, call: Call) -> None:
        if self._contract is not None:
            problem = self._contract.violation(call.method, call.path, call.query, call.body)
            if problem:
                self.world.violations.append(problem)

    async def _file(self, request: web.Request) -> web.Response:
        file = self.world.files.get(request.match_info["id"])
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.data, content_type=file.media_type)
