import logging

import pytest
from fakes.core.pictures import FACTS, FORMATS, SECRET, an_identity, make_picture

from bot.core.messages import Attachment, Reply
from bot.provenance.certificates import Identity
from bot.provenance.manifest import read_manifest
from bot.provenance.metadata import GIF, Label, read_label, without_metadata, write_label
from bot.provenance.stamping import Stamper


def started(identity: Identity) -> Stamper:
    stamper = Stamper()
    stamper.start(identity)
    return stamper


async def test_pictures_of_models_are_signed_and_other_files_are_not() -> None:
    stamper = started(an_identity())
    chart, table = Attachment("chart.png", make_picture(), "image/png"), Attachment("a.csv", b"a;b", "text/csv")
    made = [
        Attachment(f"{number}", write_label(make_picture(media_type), {}), media_type, alt="A cat", spoiler=True)
        for number, media_type in enumerate(FORMATS)
    ]
    reply = await stamper.stamp(Reply(text="Look:", attachments=(chart, *made, table), final=True), marks=True)
    assert (reply.text, reply.final, reply.attachments[0], reply.attachments[-1]) == ("Look:", True, chart, table)
    for before, after in zip(made, reply.attachments[1:-1], strict=True):
        assert (after.filename, after.media_type, after.alt, after.spoiler) == (
            before.filename, before.media_type, before.alt, True,
        )  # fmt: skip
        manifest = read_manifest(after.data, after.media_type, stamper.trust)
        assert manifest is not None
        assert (manifest.is_own, manifest.facts) == (True, FACTS)
        assert read_label(after.data) == read_label(before.data)
        assert SECRET.encode() not in after.data


@pytest.mark.parametrize("media_type", FORMATS)
async def test_a_mark_is_drawn_if_it_is_wanted(media_type: str) -> None:
    stamper = started(an_identity())
    made = Attachment("a", write_label(make_picture(media_type, 256), {}), media_type)
    plain = (await stamper.stamp(Reply(attachments=(made,)), marks=False)).attachments[0]
    marked = (await stamper.stamp(Reply(attachments=(made,)), marks=True)).attachments[0]
    assert without_metadata(plain.data) == without_metadata(made.data) != without_metadata(marked.data)
    manifest = read_manifest(marked.data, media_type, stamper.trust)
    assert manifest is not None
    assert (manifest.is_own, manifest.facts, read_label(marked.data)) == (True, FACTS, Label(FACTS))


async def test_a_picture_that_cannot_be_signed_keeps_its_label(caplog: pytest.LogCaptureFixture) -> None:
    broken = Identity("no key", an_identity().chain)
    film = Attachment("film.gif", write_label(make_picture(GIF), {}), GIF)
    with caplog.at_level(logging.ERROR):
        assert (await started(broken).stamp(Reply(attachments=(film,)), marks=False)).attachments == (film,)
    assert "A picture cannot be signed" in caplog.text
