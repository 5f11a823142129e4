import pytest
from fakes.core.requests import ask, last, pressed, speaking
from fakes.model_server.model_api import DUEL_MODEL, FakeModels, look_at, png

from bot.app import Bot


async def test_one_face_and_a_grid(bot: Bot, models: FakeModels) -> None:
    one = await last(bot, ask("/face seed:7"))
    (picture,) = one.attachments
    assert (picture.filename, picture.media_type) == ("face-7.png", "image/png")
    assert look_at(picture.data) == look_at(png(7, 384, 384))
    assert dict(one.card) == {"model": "fake-faces", "seed": "7", "count": "1", "truncation": "0.5", "seconds": "0.10"}
    await last(bot, ask("/face count:16 truncation:0,5 seed:7"))
    body = models.requests[1]
    assert (body["n"], body["size"], body["truncation"], body["layout"]) == (16, "192x192", 0.5, "grid")
    assert body["user"] == "ann"


async def test_without_a_seed_the_best_of_several_is_shown_with_emoji_beside_it(bot: Bot, models: FakeModels) -> None:
    models.listed[DUEL_MODEL] = "faces"
    drawn = await last(bot, ask("/face count:2"))
    emoji = await pressed(bot, drawn, "Emoji faces")
    await last(bot, ask("/face seed:7"))
    assert [(body["model"], body["n"], body.get("best_of")) for body in models.requests] == [
        ("fake-faces", 2, 32),
        (DUEL_MODEL, 2, 32),
        ("fake-faces", 1, None),
    ]
    assert (drawn.card["best of"], emoji.card["best of"]) == ("32", "32")


async def test_a_picture_is_described_in_the_askers_language(bot: Bot) -> None:
    (english,) = (await last(bot, ask("/face seed:7 count:3"))).attachments
    assert english.alt == "3 computer-made faces, seed 7: people who do not exist."
    (german,) = (await last(bot, ask("/face seed:7 count:3", speaking("de")))).attachments
    assert german.alt == "3 vom Computer gezeichnete Gesichter, Seed 7: Menschen, die es nicht gibt."
    alone = [(await last(bot, ask("/face seed:7", speaking(code)))).attachments[0].alt for code in ("en", "de", "es")]
    assert alone == [
        "A computer-made face, seed 7: a person who does not exist.",
        "Ein vom Computer gezeichnetes Gesicht, Seed 7: ein Mensch, den es nicht gibt.",
        "Una cara hecha por ordenador, semilla 7: una persona que no existe.",
    ]


EMOJI_ALONE = "Only the model of style:emoji was kept together with its training and its detective."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/face a cat", "style must be one of portrait, emoji; you gave “a cat”."),
        ("/face show:blend style:portrait to:3", EMOJI_ALONE),
        ("/face show:timeline to:3", "to belongs to show:blend; leave it out, or say show:blend."),
        ("/face to:3 broken:true", "broken belongs to show:timeline; leave it out, or say show:timeline."),
        ("/face style:emoji", "The model server does not have the model emoji-faces."),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, models: FakeModels, line: str, sentence: str) -> None:
    assert (await last(bot, ask(line))).text == sentence
    assert models.requests == []


async def test_no_emoji_take_the_place_of_people(bot: Bot, models: FakeModels) -> None:
    models.listed = {DUEL_MODEL: "faces"}
    shown = await last(bot, ask("/face style:portrait"))
    assert shown.text == "The model server has no model that draws people; style:emoji draws emoji."
    assert shown.attachments == ()


async def test_emoji_have_the_verdicts_of_their_detective(bot: Bot, models: FakeModels) -> None:
    models.listed[DUEL_MODEL] = "faces"
    one = await last(bot, ask("/face style:emoji seed:7"))
    assert one.text == "The detective is 25 % sure that it is real."
    assert one.attachments[0].alt == f"A computer-made emoji face, seed 7. {one.text}"
    assert one.card["model"] == DUEL_MODEL
    several = await last(bot, ask("/face emoji count:3 seed:7", speaking("de")))
    assert several.text == (
        "Wie sicher der Detektiv ist, dass jedes echt ist, der Reihe nach: 25, 75, 25 %. Er hält 1 von 3 für echt."
    )
    assert [body.get("captions") for body in models.requests] == [None, True]
    portrait = await last(bot, ask("/face style:portrait seed:7"))
    assert portrait.text.startswith("This model was published without its detective")
    assert portrait.card["model"] == "fake-faces"


async def test_a_timeline_is_a_strip_a_film_and_the_losses(bot: Bot, models: FakeModels) -> None:
    models.listed[DUEL_MODEL] = "faces"
    faces = await last(bot, ask("/face style:emoji seed:7 count:2"))
    shown = await pressed(bot, faces, "How it learned")
    assert [(file.filename, file.media_type) for file in shown.attachments] == [
        ("timeline-7.png", "image/png"),
        ("film-7.gif", "image/gif"),
        ("losses-7.png", "image/png"),
    ]
    assert "at 3 moments of its training" in shown.text
    assert "3200 real pictures" in shown.text
    assert look_at(shown.attachments[2].data)[:2] == ("PNG", (800, 520))
    strip, film = models.requests[-2:]
    assert (strip["layout"], strip["n"], strip["seed"]) == ("strip", 2, 7)
    assert (film["layout"], film["n"], film["seed"]) == ("animation", 2, 7)
    broken = await pressed(bot, shown, "The training that went wrong")
    assert "mode collapse" in broken.text
    assert [body["run"] for body in models.requests[-2:]] == ["broken", "broken"]
    assert [button.label for button in broken.buttons if button.command] == ["The training that went well"]
    too_many = await last(bot, ask("/face show:timeline count:5"))
    assert too_many.text == "A timeline shows up to 4 faces; you asked for 5."


async def test_a_blend_leads_from_one_seed_to_another(bot: Bot, models: FakeModels) -> None:
    models.listed[DUEL_MODEL] = "faces"
    shown = await last(bot, ask("/face show:blend from:7 to:12"))
    assert [file.filename for file in shown.attachments] == ["blend-7.png", "film-7.gif"]
    assert shown.text.startswith("From the face of seed 7 to that of seed 12")
    asked = [(body["layout"], body["n"], body["seed"], body["blend"]) for body in models.requests]
    assert asked == [("strip", 8, 7, 12), ("animation", 8, 7, 12)]
    assert shown.card["to"] == "12"
    await last(bot, ask("/face to:3"))
    await pressed(bot, shown, "Blend on into another")
    assert [body["blend"] for body in models.requests[2:4]] == [3, 3]
    assert models.requests[4]["seed"] == 12


async def test_stop_drops_the_drawing(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    stream = bot.prepare(ask("/face")).start()
    async for reply in stream:
        if reply.status:
            break
    await models.until(running=1)
    await stream.aclose()
    await models.until(dropped=1, running=0)
