"""How well and how fast questions find their passages: `python -m plugins.explain.evaluation.measure FILE …`.

Each file holds labelled questions (see calibration.py) of the default lesson. `--calibrate` fits the decision to the
first file and prints the two models of decision.py anew; since they also judge how sure a guide is, run it again with
those in place, until they stay as they are. Nothing is ever fitted to a second file. Other lessons are asked with the
default one as their guide and without, as lessons about something else have none. A model server of its own is started
unless `--url` names one; without either, words alone are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import sys
import time
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot import ModelClient, UserError
from plugins.explain.evaluation.calibration import Labelled, calibrate, interval, load, rates
from plugins.explain.lessons.parse import read
from plugins.explain.lessons.passages import Passage, passages
from plugins.explain.search.decision import Ranking
from plugins.explain.search.embedded_texts import units
from plugins.explain.search.index import Index
from plugins.explain.search.reference_lesson import DEFAULT_LESSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

LESSON = DEFAULT_LESSON
SIZES = (1_000, 10_000, 100_000)
BATCH = 64
MODEL = "all-minilm-l6-v2"
LOOK_SECONDS = 0.5
GOALS = {"right first": 0.95, "right in three": 0.98, "false answers": 0.08}
"""For questions that nothing was fitted to."""


async def embedded(models: ModelClient, texts: Sequence[str]) -> list[list[float]]:
    """The embeddings of many texts."""
    vectors = []
    for start in range(0, len(texts), BATCH):
        vectors += await models.embed(texts[start : start + BATCH])
    return vectors


async def index_of(lesson: Path, models: ModelClient | None, guide: Index | None = None) -> Index:
    """The index of one lesson, with embeddings where there is a model server."""
    data = await asyncio.to_thread(lesson.read_bytes)
    index = Index(passages(read(data, lesson.name)), guide)
    if models is not None:
        texts = [text for passage in index.passages for part in units(passage) for text in part]
        index.attach(np.asarray(await embedded(models, texts), np.float32))
    return index


def synthetic(size: int, lesson: Sequence[Passage], seed: int = 0) -> Index:
    """An index of `size` passages: sentences of a lesson among made-up words, with random directions as embeddings."""
    draw = np.random.default_rng(seed)
    vocabulary = np.array([*(f"word{number}" for number in range(20_000)), *" ".join(p.text for p in lesson).split()])
    pool = draw.standard_normal((4_000, 384)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    made = []
    for number in range(size):
        text = ". ".join(" ".join(draw.choice(vocabulary, 15)) for _ in range(4))
        made.append(Passage("Made up", (f"Section {number}",), None, text, f"section-{number}"))
    index = Index(made)
    count = sum(len(part) for passage in made for part in units(passage))
    index.attach(pool[draw.integers(0, len(pool), count)])
    return index


def speed(index: Index, questions: Sequence[Labelled], vectors: Sequence[Sequence[float]]) -> float:
    """The median time of one question in milliseconds, without the embedding call."""
    took = []
    for question, vector in zip(questions, vectors, strict=True):
        start = time.perf_counter()
        index.decide(index.rank(index.query(question.question), [vector]))
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


async def call_time(models: ModelClient, index: Index, questions: Sequence[Labelled]) -> float:
    """The median time of the embedding call of one question in milliseconds."""
    took = []
    model = await models.first("embeddings")
    for question in questions:
        texts = index.query(question.question).texts
        start = time.perf_counter()
        await models.embed(texts, model=model)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


@asynccontextmanager
async def served(url: str) -> AsyncIterator[ModelClient | None]:
    """A client of the model server at `url`, or of one that is started; None where there are no embeddings."""
    child = None
    if not url:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command = ("-m", "model_server", "serve", "--model", MODEL, "--port", str(port), "--exit-on-eof")
        # The pipe is never written to: its end tells the child that we are gone.
        child = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=asyncio.subprocess.PIPE)
    try:
        async with ModelClient(url) as client:
            yield client if await _is_ready(client, child) else None
    finally:
        if child is not None and child.returncode is None:
            child.terminate()
            await child.wait()


async def _is_ready(client: ModelClient, child: asyncio.subprocess.Process | None) -> bool:
    """Whether texts can be embedded, once a server that was started for it is there or has ended."""
    while True:
        try:
            await client.embed(["Are you there?"])
        except UserError:
            if child is None or child.returncode is not None:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return True


async def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m plugins.explain.evaluation.measure", description=__doc__.splitlines()[0]
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="labelled questions")
    parser.add_argument(
        "--also",
        nargs=2,
        type=Path,
        action="append",
        default=[],
        metavar=("LESSON", "HEADINGS"),
        help="another lesson about the same, and a JSON object that tells its headings by the default lesson's",
    )
    parser.add_argument("--url", default="", help="the address of a running model server")
    parser.add_argument("--calibrate", action="store_true", help="fit the decision to the first file")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="numbers of passages to measure times with")
    options = parser.parse_args(arguments)
    also: list[tuple[Path, Mapping[str, Sequence[str]]]]
    also = [(lesson, json.loads(headings.read_text("utf-8"))) for lesson, headings in options.also]
    _say(f"{os.cpu_count()} cores, Python {platform.python_version()}, bm25s {version('bm25s')}, {MODEL}")
    async with served(options.url) as models:
        if models is None:
            _say("There is no model server, so the words alone are measured.")
        default = await index_of(LESSON, models)
        lessons: list[tuple[str, Index, Mapping[str, Sequence[str]] | None]] = [(LESSON.name, default, None)]
        for lesson, elsewhere in also:
            lessons.append((lesson.name, await index_of(lesson, models, default), elsewhere))
            lessons.append((f"{lesson.name} without a guide", await index_of(lesson, models), elsewhere))
        for number, path in enumerate(options.files):
            for with_embeddings in [True, False] if models else [False]:
                asked: list[tuple[Labelled, Ranking]] = []
                for name, index, told in lessons:
                    questions = load(path, told)
                    rankings = await ranked(index, questions, models if with_embeddings else None)
                    asked += zip(questions, rankings, strict=True)
                    how = "words and embeddings" if with_embeddings else "words alone"
                    _report(f"{path.stem} of {name}, {how}", rates(index, questions, rankings))
                if options.calibrate and number == 0:
                    _say(f"{'HYBRID' if with_embeddings else 'LEXICAL'} = {calibrate(*zip(*asked, strict=True))}")
        await _times(default, load(options.files[0]), models, options.sizes)
    return 0


async def ranked(index: Index, questions: Sequence[Labelled], models: ModelClient | None) -> list[Ranking]:
    """What an index makes of each question; with words alone where there are no `models`."""
    queries = [index.query(question.question) for question in questions]
    return [index.rank(query, await models.embed(query.texts) if models else None) for query in queries]


async def _times(index: Index, questions: Sequence[Labelled], models: ModelClient | None, sizes: Sequence[int]) -> None:
    if not sizes:
        return
    call = await call_time(models, index, questions) if models else None
    vectors = np.random.default_rng(1).standard_normal((len(questions), 384)).tolist()
    _say("\n| passages | ms a question, median | with the embedding call |\n| ---: | ---: | ---: |")
    for size in sizes:
        took = speed(await asyncio.to_thread(synthetic, size, index.passages), questions, vectors)
        _say(f"| {size:,} | {took:.2f} | {'' if call is None else f'{took + call:.1f}'} |")


def _report(name: str, counted: dict[str, tuple[int, int]]) -> None:
    _say(f"\n| {name} | rate | of | 95 % interval | goal |\n| --- | ---: | ---: | --- | ---: |")
    for what, (hits, of) in counted.items():
        low, high = interval(hits, of)
        goal = f"{'≤' if what.startswith('false') else '≥'} {GOALS[what]:.0%}" if what in GOALS else ""
        _say(f"| {what} | {hits / max(of, 1):.1%} | {hits} of {of} | {low:.1%} to {high:.1%} | {goal} |")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
