"""The web chat as a platform: starts and stops the web server and everything behind it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from bot.app import PURGE_SECONDS, REFRESH_SECONDS
from bot.core.background import repeated, until_stored
from bot.core.errors import BotError
from bot.platforms.listening import explain_listen_error
from bot.platforms.web.access.known import KnownVisitors
from bot.platforms.web.access.limits import WEB_LIMITS, WebLimits
from bot.platforms.web.access.people import People
from bot.platforms.web.access.teachers import NAMESPACE, WebModerators, teacher_link
from bot.platforms.web.access.waiting import WaitingRoom
from bot.platforms.web.adapter import WebAdapter
from bot.platforms.web.chat.answers import WebAnswers
from bot.platforms.web.chat.files import Files
from bot.platforms.web.chat.model_defaults import LEARN_SECONDS, ModelDefaults
from bot.platforms.web.chat.rooms import Rooms
from bot.platforms.web.chat.services import WebServices
from bot.platforms.web.chat.shared_people import TICK_SECONDS, SharedPeople, tell_of_stored
from bot.platforms.web.chat.shared_rooms import REPAIR_SECONDS, SharedRooms
from bot.platforms.web.chat.shared_uploads import SharedUploads
from bot.platforms.web.checks import NAME, VARIABLES, check_exposure
from bot.platforms.web.pages.uploads import PATH as UPLOADS_PATH
from bot.platforms.web.site import Site
from bot.settings.builtin import DAY_SECONDS
from bot.storage.key_value import Store
from bot.storage.secret_key import load_secret
from http_server.listening import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from bot.app import Bot
    from bot.config.sections import WebSection

log = logging.getLogger(__name__)

MAX_ALL_UPLOADS_BYTES, MAX_VISITORS_UPLOADS_BYTES = 64 << 20, 24 << 20
"""How much of uploads is kept in memory, in all and of one visitor."""


class WebPlatform:
    """Serves the web chat of one bot, which must be entered before.

    Raises ConfigError if the chat would be open to the network without a join code.
    """

    name = "web"

    def __init__(
        self,
        bot: Bot,
        section: WebSection,
        announce: Callable[[str], None] | None = None,
        limits: WebLimits = WEB_LIMITS,
    ) -> None:
        """`announce` shows a line only to the person who starts the bot: a link for teachers must not be in the log."""
        check_exposure(section)
        self._bot = bot
        self._section = section
        self._announce = announce
        self._limits = limits
        self._moderators = WebModerators(bot.database)

    async def run(self) -> None:
        """Serve until cancelled. While the database is away, the chat waits for it and does not end the bot."""
        await until_stored(self._serve_for_ever)

    async def _serve_for_ever(self) -> None:
        async with self.serve() as url:
            log.info("The web chat is at %s", url)
            if self._announce is None:
                log.info("“tempera teacher-link” prints a link by which a teacher signs in")
            else:
                link = teacher_link(self._section.url or url, await self._moderators.create_code())
                self._announce(f"Teachers sign in here (once, within the next hour): {link}")
            await asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve for as long as the context lasts; yields the address. Raises BotError if it cannot listen.

        At the end active answers are stopped and all WebSockets are closed.
        """
        # Without a limit, which would remove pictures from the page. Files leave memory once they are in the database.
        files = Files()
        rooms = Rooms(files, Store(self._bot.database, NAMESPACE))
        await rooms.start()
        await self._moderators.refresh()
        async with WebAnswers(self._bot, rooms) as answers, AsyncExitStack() as ending:
            await ending.enter_async_context(repeated(self._moderators.refresh, REFRESH_SECONDS))
            await answers.stored.restore()
            people = People()
            known = KnownVisitors(self._bot.database, partial(tell_of_stored, self._bot.events))
            waiting = WaitingRoom(self._limits.waiting)
            await known.refresh()
            await ending.enter_async_context(repeated(known.refresh, REFRESH_SECONDS))
            for _, exchange in rooms.all_exchanges():
                people.remember(exchange.author, exchange.began)
            await ending.enter_async_context(repeated(people.drop_old, PURGE_SECONDS))
            if days := self._bot.retention_days:
                drop_expired = partial(self._drop_expired, rooms, days)
                await ending.enter_async_context(repeated(drop_expired, PURGE_SECONDS, at_once=True))
            listeners = self._bot.settings.scopes.listeners
            listeners.add(rooms.notify_offers)
            ending.callback(listeners.discard, rooms.notify_offers)
            uploads = Files(MAX_ALL_UPLOADS_BYTES, MAX_VISITORS_UPLOADS_BYTES)
            defaults = ModelDefaults(self._bot, rooms.notify_offers)
            await ending.enter_async_context(repeated(defaults.refresh, LEARN_SECONDS, at_once=True))
            services = WebServices(
                *(self._bot, rooms, answers, self._moderators, people, known, waiting, files, uploads),
                SharedUploads(self._bot.events),
                defaults,
            )
            services.show_badges()
            self._moderators.listeners.add(services.show_badges)
            ending.callback(self._moderators.listeners.discard, services.show_badges)
            pass_key, _ = await load_secret(self._bot.database)
            site = Site(services, self._section, self._limits, pass_key)
            await ending.enter_async_context(repeated(site.open_door, REFRESH_SECONDS))
            port = await self._listen(site.build_app(), ending)
            # Only once it listens: if another chat of this bot has the port, that chat's adapter stays registered.
            adapter = WebAdapter(services)
            ending.enter_context(self._bot.adapters.registered(self.name, adapter))
            ending.enter_context(self._bot.abandoned.restored_by(self.name, answers.stored.show_interrupted))
            ending.enter_context(adapter.forgetting_with_others(self._bot.events))
            await self._share(services, site, ending)
            await ending.enter_async_context(self._bot.log_channel.post_entries(self.name))
            yield self._section.address_at(port)

    async def _share(self, services: WebServices, site: Site, ending: AsyncExitStack) -> None:
        """Show rooms and visitors of other processes, and tell these of those here, until `ending`."""
        if not self._bot.events.is_shared:
            return
        rooms = SharedRooms(self._bot, services.rooms, services.answers.stored)
        people = SharedPeople(services, site.open_door)
        ending.enter_context(rooms.shared())
        await ending.enter_async_context(repeated(rooms.repair, REPAIR_SECONDS))
        ending.enter_context(people.shared())
        await ending.enter_async_context(repeated(people.tick, TICK_SECONDS, at_once=True))

    async def _drop_expired(self, rooms: Rooms, days: float) -> None:
        """Remove the exchanges from memory whose messages the database no longer keeps."""
        for room in rooms.all:
            room.drop_older_than(time.time() - days * DAY_SECONDS)

    async def _listen(self, app: web.Application, ending: AsyncExitStack) -> int:
        """Serve `app` until `ending`; returns the port. Raises BotError if it cannot listen."""
        host, port = self._section.host, self._section.port
        try:
            return await ending.enter_async_context(
                listening(
                    app,
                    host,
                    port,
                    limits=self._limits.connections,
                    shared=self._section.proxies,
                    exempt=(UPLOADS_PATH,),
                )
            )
        except OSError as error:
            raise BotError(explain_listen_error(error, NAME, VARIABLES, host, port)) from None
