"""One question from end to end, as a user asks it: `tempera run`, real models, the terminal and the web chat."""

import io
import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.platforms.web_page import visitor
from fakes.programs.deployment import Deployment, deployment
from PIL import Image

from bot.provenance.metadata import without_metadata
from model_server.catalogue import load_catalogue
from model_server.engines.contract import EngineSpec

pytestmark = pytest.mark.weights
CATALOGUE = Path(__file__).parents[1] / "config" / "models.toml"
CAPITAL = "/ask temperature:0 What is the capital of France?"
MODELS = ("qwen2.5-coder-0.5b-instruct", "digiface-dcgan", "all-minilm-l6-v2")


@pytest.fixture(scope="module")
def running(
    weights: Callable[[str], EngineSpec], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    for name in MODELS:
        weights(name)
    # Made only now that the models are in place.
    cache = request.getfixturevalue("small_model_cache")
    with deployment(tmp_path_factory.mktemp("home"), extra={"TEMPERA_CACHE": str(cache)}) as made:
        yield made


def test_the_terminal_answers(running: Deployment) -> None:
    done = running.chat(CAPITAL)
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "temperature 0" in done.stderr
    assert "Paris" not in done.stderr


def test_the_terminal_says_what_was_wrong(running: Deployment) -> None:
    done = running.chat("/ask temperature:3 hi")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "temperature must be a number from 0 to 2; you gave “3”.\n"


def test_the_same_seed_is_the_same_face(running: Deployment) -> None:
    def face(seed: int, folder: str) -> bytes:
        done = running.chat(f"/face seed:{seed}", "--out", folder)
        assert done.returncode == 0, done.stderr
        return (running.folder / done.stdout.strip()).read_bytes()

    first, second, other = face(7, "one"), face(7, "two"), face(8, "one")
    assert without_metadata(first) == without_metadata(second) != without_metadata(other)
    assert first.startswith(b"\x89PNG")


def test_the_terminal_draws_what_it_is_told(running: Deployment) -> None:
    if load_catalogue(CATALOGUE)["emoji-diffusion"].is_untrained:
        pytest.skip("The weights of emoji-diffusion are not in model_server/weights.")

    def drawn(words: str, folder: str) -> bytes:
        done = running.chat(f"/imagine seed:7 steps:6 count:1 {words}", "--out", folder)
        assert done.returncode == 0, done.stderr
        assert "seed 7" in done.stderr
        return (running.folder / done.stdout.strip()).read_bytes()

    apple = drawn("a red apple", "apple")
    again, rocket = drawn("a red apple", "again"), drawn("a rocket", "rocket")
    # Each has a signature of its own.
    assert without_metadata(apple) == without_metadata(again) != without_metadata(rocket)
    written = Image.open(io.BytesIO(apple)).info
    assert (written["model"], written["seed"], written["steps"]) == ("emoji-diffusion", "7", "6")
    assert b"a red apple" not in apple


async def test_the_web_chat_answers(running: Deployment) -> None:
    async with visitor(running.web_url) as ann, ann.page("Ann") as page:
        await page.say(CAPITAL)
        answer = await page.final()
        assert "Paris" in answer["reply"]["text"]
        await page.say("/face seed:7")
        face = await page.final()
        [picture] = face["reply"]["pictures"]
        async with ann.session.get(f"{running.web_url}{picture['url']}") as response:
            data = await response.read()
    done = running.chat("/face seed:7", "--out", "terminal")
    assert without_metadata(data) == without_metadata((running.folder / done.stdout.strip()).read_bytes())


def test_the_odds_are_the_models_own(running: Deployment) -> None:
    done = running.chat("/odds temperature:1 The cat sat on the", "--out", "odds")
    assert done.returncode == 0, done.stderr
    odds = re.findall(r"^\d+\. `(.+)` ([\d.]+) % → ([\d.]+) %$", done.stdout, flags=re.MULTILINE)
    assert len(odds) == 10
    assert "␣mat" in [token for token, _, _ in odds]
    # At temperature 1 nothing is changed, and all of it together is everything.
    assert all(before == after for _, before, after in odds)
    rest = re.search(r"^- all others: ([\d.]+) %", done.stdout, flags=re.MULTILINE)
    assert rest is not None
    assert sum(float(before) for _, before, _ in odds) + float(rest[1]) == pytest.approx(100, abs=0.6)
    assert (running.folder / "odds" / "odds.png").stat().st_size > 10_000


def test_temperatures_side_by_side(running: Deployment) -> None:
    done = running.chat('/dial temperatures:"0, 1.5" seed:3 max_tokens:16 Tell me a story about an egg.')
    assert done.returncode == 0, done.stderr
    measured = re.findall(r"\*Entropy ([\d.]+) bits a token; (\d+) of (\d+) tokens", done.stdout)
    (cold, none, _), (hot, some, _) = measured
    assert (cold, none) == ("0.00", "0")
    assert float(hot) > 2
    assert int(some) > 2


async def test_an_answer_is_gone_on_from_the_middle(running: Deployment) -> None:
    async with visitor(running.web_url) as ann, ann.page("Ann") as page:
        await page.say(CAPITAL)
        first = await page.final()
        await page.send("tokens", exchange=first["id"])
        tokens = (await page.until("tokens"))["tokens"]
        assert "".join(text for text, *_ in tokens) == first["reply"]["text"]
        at = next(place for place, (text, *_) in enumerate(tokens) if "Paris" in text)
        choice = next(place for place, (text, _) in enumerate(tokens[at][2]) if text and text != tokens[at][0])
        row = first["reply"]["buttons"][0]["id"].rsplit(":", 1)[1]
        fields = {"at": str(at), "choice": str(choice)}
        await page.send("submit", id=f"t:fork:{row}", fields=fields, files={})
        forked = await page.until(
            "exchange", lambda message: message["id"] != first["id"] and message["reply"]["final"]
        )
    begun = "".join(text for text, *_ in tokens[:at]) + tokens[at][2][choice][0]
    assert not forked["reply"]["error"]
    assert forked["reply"]["text"].startswith(begun)
    assert len(forked["reply"]["text"]) > len(begun)


def test_doctor_finds_nothing_wrong(running: Deployment) -> None:
    import subprocess

    from fakes.programs.deployment import READY_SECONDS, TEMPERA

    done = subprocess.run(
        [TEMPERA, "doctor"],
        env=running.environment,
        cwd=running.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=READY_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    assert all(name in done.stdout for name in MODELS)


@pytest.mark.chaos
async def test_an_answer_that_a_kill_interrupted(running: Deployment, tmp_path: Path) -> None:
    """SIGKILL in the middle: the message says so, Again works, and a reply still knows the turns before."""
    # Unchecked words are shown as they come, so that the kill meets a short answer, too.
    with deployment(tmp_path, foreign_models=running.models_url) as made:
        async with visitor(made.web_url) as ann:
            async with ann.page("Ann") as page:
                await page.say("/ask temperature:0 My dog is called Rex. Greet him by his name, please.")
                assert (await page.final())["reply"]["final"]
                await page.say("/ask temperature:0 max_tokens:400 Count from one to two hundred in words.")
                await page.until("exchange", lambda message: len(message["reply"]["text"]) > 20)
            made.stop(signal.SIGKILL)
            made.start()
            async with ann.page("Ann") as page:
                first, second = list(page.exchanges.values())[-2:]
                assert "Rex" in json.dumps(first)
                assert second["reply"]["final"]
                assert "Interrupted" in second["reply"]["status"]
                await page.press(second, "Again")
                again = await page.until(
                    "exchange", lambda message: message["id"] != second["id"] and len(message["reply"]["text"]) > 20
                )
                assert "one" in again["reply"]["text"].casefold()
                await page.press(again, "Stop")
                await page.until("exchange", lambda message: message["reply"]["status"] == "Stopped.")
                await page.say(
                    "/ask temperature:0 What is my dog called? Answer with the name alone.", parent=first["row"]
                )
                assert "Rex" in (await page.final())["reply"]["text"]
