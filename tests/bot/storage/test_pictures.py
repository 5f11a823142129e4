"""Which stored answer a picture comes from, and that nothing is known of pictures that were deleted."""

from collections.abc import AsyncIterator
from dataclasses import replace

from fakes.core.pictures import make_image, make_picture
from fakes.core.requests import ANN, ROOM
from sqlalchemy import func, select

from bot import Attachment, Context, Plugin, Reply, command
from bot.core.messages import Request
from bot.provenance.metadata import GIF, PNG, write_label
from bot.provenance.picture_hash import hash_image
from bot.storage.database import Database
from bot.storage.messages import MessageStore
from bot.storage.pictures import PictureHashes, PictureHashRow


class Sample(Plugin):
    name = "sample"

    @command()
    async def draw(self, ctx: Context) -> AsyncIterator[Reply]:
        """Draw."""
        yield Reply()


(DRAW,) = Sample().commands()


def shown(angle: int, media_type: str = PNG) -> Reply:
    """Return an answer with a picture that a model made, and a chart."""
    made = Attachment("a", write_label(make_picture(media_type, angle=angle), {}), media_type)
    return Reply(attachments=(Attachment("chart.png", make_picture(angle=7), PNG), made), final=True)


async def answered(store: MessageStore, reply: Reply) -> int:
    request = Request(user=ANN, place=ROOM)
    _, answer = await store.create_exchange(request, DRAW, {}, private=False)
    await store.finish(answer.id, reply, "done")
    return answer.id


async def count(database: Database) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(PictureHashRow)) or 0


async def found(database: Database, angle: int) -> int | None:
    row = await PictureHashes(database).find(hash_image(make_image(angle=angle)))
    return None if row is None else row.id


async def test_a_picture_leads_to_its_answer_until_that_is_deleted(store: MessageStore, database: Database) -> None:
    first, second = await answered(store, shown(0)), await answered(store, shown(120))
    assert await count(database) == 2
    assert [await found(database, angle) for angle in (0, 120, 240, 7)] == [first, second, None, None]
    row = await store.get(first)
    assert row is not None
    await store.delete(row)
    assert (await found(database, 0), await count(database)) == (None, 1)
    assert await database.purge(days=-1) == 4
    assert (await found(database, 120), await count(database)) == (None, 0)


async def test_another_page_of_an_answer_replaces_its_picture(store: MessageStore, database: Database) -> None:
    row = await store.get(await answered(store, shown(0)))
    assert row is not None
    assert await store.turn_page(row, DRAW, {}, replace(shown(120), text="Page 2"), 0.1)
    assert [await found(database, angle) for angle in (0, 120)] == [None, row.id]


async def test_a_film_is_known_by_its_last_frame(store: MessageStore, database: Database) -> None:
    answer = await answered(store, shown(0, GIF))
    assert [await found(database, angle) for angle in (60, 0)] == [answer, None]
