"""Measures how well and how fast questions find their passages.

`python -m research.explain.measure FILE …`: each file holds labelled questions (see calibration.py) of the
default lesson. `--calibrate` fits the decision to the first file and prints the two models of decision.py. As the
models also judge the confidence of the reference lesson, copy them there and run it again until they no longer change.
Nothing is ever fitted to a second file. Other lessons are asked with the default lesson as their reference lesson and
without any, as lessons on another subject have none. `--language de FILE` asks the default lesson in German;
`--calibrate` fits two further models to the files of all languages together. A model server is started unless `--url`
names one; if neither works, or if its model does not know the language, words alone are measured.
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
from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.library.translations import translation_paths
from plugins.explain.search.embedding.embedded_texts import texts_of
from plugins.explain.search.embedding.scale import UNRELATED_SENTENCES, measure_scale
from plugins.explain.search.index import Index
from plugins.explain.search.reference_lesson import DEFAULT_LESSON
from plugins.explain.search.words.glossary import language_codes, search_language
from research.explain.calibration import (
    LabelledQuestion,
    calibrate,
    count_outcomes,
    load_questions,
    wilson_interval,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from plugins.explain.search.decision import Ranking

SIZES = (1_000, 10_000, 100_000)
TEXTS_PER_REQUEST = 64
MODEL = "all-minilm-l6-v2"
POLL_SECONDS = 0.5
GOALS = {"right first": 0.95, "right in three": 0.98, "false answers": 0.08}
"""The goals for questions that nothing was fitted to."""


async def embed_texts(models: ModelClient, texts: Sequence[str]) -> list[list[float]]:
    """Return the embeddings of any number of texts."""
    embeddings = []
    for start in range(0, len(texts), TEXTS_PER_REQUEST):
        embeddings += await models.embed(texts[start : start + TEXTS_PER_REQUEST])
    return embeddings


async def build_index(
    lesson: Path, models: ModelClient | None, reference: Index | None = None, language: str = ""
) -> Index:
    """Index one lesson for questions in a language, with embeddings if there is a model server."""
    data = await asyncio.to_thread(lesson.read_bytes)
    index = Index(split_passages(parse_document(data, lesson.name)), reference, search_language(language))
    if models is not None:
        texts = list(texts_of(index.passages))
        scale = measure_scale(await embed_texts(models, UNRELATED_SENTENCES))
        index.attach(np.asarray(await embed_texts(models, texts), np.float32), scale)
    return index


def build_synthetic_index(size: int, lesson: Sequence[Passage], seed: int = 0) -> Index:
    """Index `size` passages of words from a lesson and invented ones, with random directions as embeddings."""
    draw = np.random.default_rng(seed)
    vocabulary = np.array([*(f"word{number}" for number in range(20_000)), *" ".join(p.text for p in lesson).split()])
    pool = draw.standard_normal((4_000, 384)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    passages = []
    for number in range(size):
        text = ". ".join(" ".join(draw.choice(vocabulary, 15)) for _ in range(4))
        passages.append(Passage("Made up", (f"Section {number}",), None, text, f"section-{number}"))
    index = Index(passages)
    count = sum(1 for _ in texts_of(passages))
    index.attach(pool[draw.integers(0, len(pool), count)])
    return index


def median_search_milliseconds(
    index: Index, questions: Sequence[LabelledQuestion], embeddings: Sequence[Sequence[float]]
) -> float:
    """Return the median time of one question in milliseconds, without the embedding call."""
    seconds = []
    for question, embedding in zip(questions, embeddings, strict=True):
        start = time.perf_counter()
        index.decide(index.rank(index.read_question(question.question, is_about_lessons=False), [embedding]))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


async def median_embedding_milliseconds(
    models: ModelClient, index: Index, questions: Sequence[LabelledQuestion]
) -> float:
    """Return the median time of the embedding call of one question in milliseconds."""
    seconds = []
    model = await models.first("embeddings")
    for question in questions:
        texts = index.read_question(question.question).embedded_texts
        start = time.perf_counter()
        await models.embed(texts, model=model)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


@asynccontextmanager
async def open_model_server(url: str) -> AsyncIterator[ModelClient | None]:
    """Yield a client of the model server at `url`, or of a new one if `url` is ""; None if it cannot embed texts."""
    child = None
    if not url:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command = ("-m", "model_server", "serve", "--model", MODEL, "--port", str(port), "--exit-on-eof")
        # Nothing is ever written to the pipe: it closes when this process ends, and then the child ends, too.
        child = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=asyncio.subprocess.PIPE)
    try:
        async with ModelClient(url) as client:
            yield client if await _is_ready(client, child) else None
    finally:
        if child is not None and child.returncode is None:
            child.terminate()
            await child.wait()


async def _is_ready(client: ModelClient, child: asyncio.subprocess.Process | None) -> bool:
    """Return True if texts can be embedded. For a server that was just started, wait until it can or has ended."""
    while True:
        try:
            await client.embed(["Are you there?"])
        except UserError:
            if child is None or child.returncode is not None:
                return False
            await asyncio.sleep(POLL_SECONDS)
        else:
            return True


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m research.explain.measure", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="labelled questions")
    parser.add_argument(
        "--language",
        nargs=2,
        action="append",
        default=[],
        metavar=("CODE", "FILE"),
        help="labelled questions of the default lesson in another language, such as de",
    )
    parser.add_argument(
        "--also",
        nargs=2,
        type=Path,
        action="append",
        default=[],
        metavar=("LESSON", "HEADINGS"),
        help="another lesson on the same subject, and a JSON object of its headings by those of the default lesson",
    )
    parser.add_argument("--url", default="", help="the address of a running model server")
    parser.add_argument("--calibrate", action="store_true", help="fit the decision")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="numbers of passages to measure times with")
    options = parser.parse_args(arguments)
    if not (options.files or options.language):
        parser.error("name a file of labelled questions, or one with --language")
    if unknown := {code for code, _ in options.language} - set(language_codes()):
        parser.error(f"the languages are {', '.join(language_codes())}, not {', '.join(sorted(unknown))}")
    return options


async def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the results."""
    options = _parse_arguments(arguments)
    async with open_model_server(options.url) as models:
        model = await models.first("embeddings") if models else "no model server, so words alone are measured"
        _print_line(f"{os.cpu_count()} cores, Python {platform.python_version()}, bm25s {version('bm25s')}, {model}")
        if options.files:
            await _measure_files(options, models)
        if options.language:
            known = await models.languages("embeddings", model) if models else None
            knows = known is None or all(code in known for code, _ in options.language)
            await _measure_languages(options, models if knows else None)
    return 0


async def _measure_files(options: argparse.Namespace, models: ModelClient | None) -> None:
    """Measure the default lesson and the other ones in its language, and the time of a question."""
    default = await build_index(DEFAULT_LESSON, models)
    lessons: list[tuple[str, Index, Mapping[str, Sequence[str]] | None]] = [(DEFAULT_LESSON.name, default, None)]
    for lesson, headings in options.also:
        other_headings = json.loads(await asyncio.to_thread(headings.read_text, "utf-8"))
        lessons.append((lesson.name, await build_index(lesson, models, default), other_headings))
        name = f"{lesson.name} without a reference lesson"
        lessons.append((name, await build_index(lesson, models), other_headings))
    for number, path in enumerate(options.files):
        asked = [(f"{path.stem} of {name}", index, load_questions(path, other)) for name, index, other in lessons]
        await _measure(asked, models, calibrates=options.calibrate and number == 0)
    await _print_times(default, load_questions(options.files[0]), models, options.sizes)


async def _measure_languages(options: argparse.Namespace, models: ModelClient | None) -> None:
    """Measure the default lesson in other languages."""
    asked = []
    for code, file in options.language:
        path, lesson = Path(file), translation_paths(DEFAULT_LESSON)[code]
        index = await build_index(lesson, models, language=code)
        asked.append((f"{path.stem} of {lesson.name}", index, load_questions(path)))
    await _measure(asked, models, calibrates=options.calibrate)


async def _measure(
    asked: Sequence[tuple[str, Index, Sequence[LabelledQuestion]]], models: ModelClient | None, *, calibrates: bool
) -> None:
    """Print how indexes, each with a name, answer questions, and what the decision becomes if it is fitted to them."""
    for embedder in [models, None] if models else [None]:
        how, kind = ("words and embeddings", "HYBRID") if embedder else ("words alone", "LEXICAL")
        ranked: list[tuple[LabelledQuestion, Ranking]] = []
        for name, index, questions in asked:
            rankings = await rank_questions(index, questions, embedder)
            ranked += zip(questions, rankings, strict=True)
            _print_outcomes(f"{name}, {how}", count_outcomes(index, questions, rankings))
        if calibrates:
            prefix = "FOREIGN_" if any(ranking.is_foreign for _, ranking in ranked) else ""
            _print_line(f"{prefix}{kind} = {calibrate(*zip(*ranked, strict=True))}")


async def rank_questions(
    index: Index, questions: Sequence[LabelledQuestion], models: ModelClient | None
) -> list[Ranking]:
    """Rank the passages for each question, by words alone if there are no `models`."""
    queries = [index.read_question(question.question) for question in questions]
    return [index.rank(query, await models.embed(query.embedded_texts) if models else None) for query in queries]


async def _print_times(
    index: Index, questions: Sequence[LabelledQuestion], models: ModelClient | None, sizes: Sequence[int]
) -> None:
    if not sizes:
        return
    call = await median_embedding_milliseconds(models, index, questions) if models else None
    embeddings = np.random.default_rng(1).standard_normal((len(questions), 384)).tolist()
    _print_line("\n| passages | ms a question, median | with the embedding call |\n| ---: | ---: | ---: |")
    for size in sizes:
        synthetic = await asyncio.to_thread(build_synthetic_index, size, index.passages)
        search = median_search_milliseconds(synthetic, questions, embeddings)
        _print_line(f"| {size:,} | {search:.2f} | {'' if call is None else f'{search + call:.1f}'} |")


def _print_outcomes(name: str, outcomes: dict[str, tuple[int, int]]) -> None:
    _print_line(f"\n| {name} | rate | of | 95 % interval | goal |\n| --- | ---: | ---: | --- | ---: |")
    for outcome, (hits, attempts) in outcomes.items():
        low, high = wilson_interval(hits, attempts)
        goal = f"{'≤' if outcome.startswith('false') else '≥'} {GOALS[outcome]:.0%}" if outcome in GOALS else ""
        rate = f"{hits / max(attempts, 1):.1%} | {hits} of {attempts}"
        _print_line(f"| {outcome} | {rate} | {low:.1%} to {high:.1%} | {goal} |")


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
