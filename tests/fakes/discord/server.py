"""A fake of Discord on 127.0.0.1, for the unmodified discord.py."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from fakes.discord.errors import SENTENCES
from fakes.discord.limits import VIA, Refusal, Rule
from fakes.discord.people import People
from fakes.discord.rest import PREFIX, Rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fakes.discord.interactions import Responses


class FakeDiscord(People):
    """Use it as an async context manager; leaving it fails if any request broke Discord's contract.

    It has one guild with the channel "general", in it the bot, `ann`, `ben`, and `mod` who may manage the guild.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.rest = Rest(self)
        self._port = port
        self._lifetime = AsyncExitStack()

    @property
    def responses(self) -> Responses:  # type: ignore[override]
        return self.rest.responses

    @property
    def gateway_log(self) -> list[tuple[str, int]]:
        """What clients did: ("identify", shard), ("resume", shard), ("heartbeat", shard)."""
        return self.gateway.log

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=128 << 20)
        app.router.add_get("/gateway/", self.gateway.handle)
        self.rest.add_to(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._lifetime.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        port = runner.addresses[0][1]
        self.api_base = f"http://127.0.0.1:{port}{PREFIX}"
        self.gateway_url = f"ws://127.0.0.1:{port}/gateway/"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.gateway.close(1001)
        await self._lifetime.aclose()
        if kind is None:
            assert not self.violations, "\n".join(self.violations)

    async def connected(self) -> None:
        """Wait until every shard is connected and has its guilds."""
        await self.until(lambda: self.gateway.connected)

    async def close_gateway(self, code: int) -> None:
        """Close every socket: after 4000 the client resumes, after 4004 it stays away."""
        self.gateway.close(code)

    async def send_opcode(self, op: int) -> None:
        """Send every client an opcode: 7 to reconnect, 1 for a heartbeat."""
        self.gateway.send_opcode(op)

    async def invalidate_session(self, *, resumable: bool) -> None:
        """Opcode 9 to every client."""
        self.gateway.invalidate(resumable=resumable)

    def revoke_token(self) -> None:
        """Make the token invalid: 401 from now on, and close code 4004."""
        self.token = f"{self.token[:-4]}gone"
        self.gateway.sessions.clear()
        self.gateway.close(4004)

    def expire_tokens(self) -> None:
        """Make all interactions so far fifteen minutes old."""
        for interaction in self.interactions.values():
            interaction.expired = True

    def refuse(
        self,
        method: str,
        path_glob: str,
        status: int,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        *,
        code: int = 0,
        retry_after: float = 1.0,
    ) -> None:
        """Answer the next `times` such requests with this error; `code` is Discord's own and determines its sentence.

        A 429 gets what Discord's own have; `headers={"Via": ""}` makes it one from a wall before Discord.
        """
        sent: dict[str, str] = {}
        if status == 429:
            sent = {**VIA, "Retry-After": str(int(retry_after) + 1)}
            usual: dict[str, Any] = {"message": "You are being rate limited.", "retry_after": retry_after}
            usual["global"] = False
        else:
            usual = {"message": SENTENCES[code], "code": code}
        sent |= headers or {}
        refusal = Refusal(method, path_glob, status, dict(body or usual), {k: v for k, v in sent.items() if v}, times)
        self.rest.limits.refusals.append(refusal)

    def limit(self, method: str, path_glob: str, requests: int, seconds: float) -> None:
        """Allow `requests` such requests in `seconds`, for each channel or webhook separately."""
        self.rest.limits.rules.append(Rule(method, path_glob, requests, seconds))
