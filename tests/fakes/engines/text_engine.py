"""Fake engines without torch whose behaviour depends on the prompt, for tests of the gateway and its workers.

The text engine repeats its prompt, one word in each step, except for these prompts: `forever` never ends; `pid` writes
the process id and never ends; `hang`, `crash`, `exhaust` and `refuse` do so in the first step.
"""

import os
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from model_server.engines.contract import Engine, EngineSpec, Misconfigured
from model_server.jobs import (
    Chat,
    Completion,
    Dial,
    Embed,
    Event,
    Faces,
    Failed,
    Finished,
    Job,
    Moderate,
    Picture,
    Progress,
    PromptToken,
    Scores,
    Started,
    Text,
    TokenLogit,
    TokenLogprob,
    Vectors,
)

PAUSE_SECONDS = 0.005
WIDTH = 8


class Parrot:
    """The text engine. Options: `journal`, a file to which each added or removed job is written, with `{pid}`
    in its name for one of each process; `fails_until`, a file
    without which loading fails; `capacity`; `pause`, the seconds of a step; `notes_steps`, True to write steps to the
    journal as well; `spare_steps`, how many it wants without a job. Its prefix cache holds every earlier prompt.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self.capacity, self.context = int(spec.options.get("capacity", 1)), 64
        self._options = spec.options
        self._jobs: dict[str, tuple[Job, int]] = {}
        self._read: set[str] = set()
        self._spare_steps = int(spec.options.get("spare_steps", 0))

    @property
    def has_spare_work(self) -> bool:
        return self._spare_steps > 0

    def load(self) -> None:
        print(f"loading in process {os.getpid()}", flush=True)
        if (sign := self._options.get("fails_until")) and not Path(str(sign)).exists():
            raise RuntimeError("secret detail")

    def add(self, job: Job) -> None:
        self._note(f"add {job.id}")
        self._jobs[job.id] = (job, 0)

    def remove(self, job_id: str) -> None:
        self._note(f"remove {job_id}")
        self._jobs.pop(job_id, None)

    def step(self) -> Sequence[Event]:
        time.sleep(float(self._options.get("pause", PAUSE_SECONDS)))
        if self._options.get("notes_steps"):
            self._note("step")
        self._spare_steps -= not self._jobs
        return [event for job, done in list(self._jobs.values()) for event in self._advance(job, done)]

    def _advance(self, job: Job, done: int) -> list[Event]:
        task = job.task
        assert isinstance(task, Chat | Completion)
        prompt = prompt_of(task)
        self._jobs[job.id] = (job, done + 1)
        match prompt:
            case "hang":
                time.sleep(3600)
            case "crash":
                raise RuntimeError("secret detail")
            case "exhaust":
                raise MemoryError
            case "refuse":
                del self._jobs[job.id]
                return [Failed(job.id, "The prompt is too long.", 400, "context_length_exceeded", "messages")]
        if task.dial:
            del self._jobs[job.id]
            return [Started(job.id, 1), dial(job.id), Finished(job.id, "length", 1)]
        words = [str(os.getpid())] if prompt == "pid" else prompt.split()
        events: list[Event] = [] if done else [Started(job.id, len(words))]
        text = "" if not words else words[done % len(words)]
        count = task.sampling.logprobs
        events.append(
            Text(job.id, text if done == 0 else f" {text}", logprobs(text, count), logprobs(text, count, drawn=-0.25))
        )
        limit = task.sampling.max_tokens or 1000
        endless = prompt in {"pid", "forever"}
        if not endless and (done + 1 >= len(words) or done + 1 >= limit):
            del self._jobs[job.id]
            reason = "length" if done + 1 < len(words) else "stop"
            cached = len(words) if prompt in self._read else 0
            self._read.add(prompt)
            events.append(Finished(job.id, reason, len(words), done + 1, cached))
        return events

    def _note(self, line: str) -> None:
        if journal := self._options.get("journal"):
            with Path(str(journal).format(pid=os.getpid())).open("a") as file:
                file.write(line + "\n")


class Painter:
    """The face engine: one fake picture in each step, whose bytes contain its seed."""

    capacity = 1

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[Faces, int]] = {}

    def load(self) -> None:
        pass

    def add(self, job: Job) -> None:
        assert isinstance(job.task, Faces)
        self._jobs[job.id] = (job.task, 0)

    def remove(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)

    def step(self) -> Sequence[Event]:
        events: list[Event] = []
        for job_id, (task, done) in list(self._jobs.items()):
            steps = task.count if task.layout == "separate" else 1
            events += [] if done else [Started(job_id)]
            events += [Picture(job_id, b"\x89PNG" + f"{task.seed + done}".encode()), Progress(job_id, done + 1, steps)]
            self._jobs[job_id] = (task, done + 1)
            if done + 1 == steps:
                del self._jobs[job_id]
                events.append(Finished(job_id))
        return events


class Ruler:
    """The embedding engine: numbers in [0, 1) that depend only on the text."""

    capacity = 4

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def load(self) -> None:
        pass

    def add(self, job: Job) -> None:
        self._jobs.append(job)

    def remove(self, job_id: str) -> None:
        self._jobs = [job for job in self._jobs if job.id != job_id]

    def step(self) -> Sequence[Event]:
        jobs, self._jobs = self._jobs, []
        return [event for job in jobs for event in self._measure(job)]

    def _measure(self, job: Job) -> list[Event]:
        assert isinstance(job.task, Embed)
        vectors = tuple(tuple(byte / 256 for byte in sha256(text.encode()).digest()[:WIDTH]) for text in job.task.texts)
        tokens = sum(len(text.split()) for text in job.task.texts)
        return [Started(job.id, tokens), Vectors(job.id, vectors), Finished(job.id, "stop", tokens)]


class Judge(Ruler):
    """The moderation engine: a text with the name of a category has the probability 1 in it."""

    categories = ("hate", "violence")

    def _measure(self, job: Job) -> list[Event]:
        assert isinstance(job.task, Moderate)
        scores = tuple(tuple(float(name in text) for name in self.categories) for text in job.task.texts)
        return [Started(job.id), Scores(job.id, self.categories, scores), Finished(job.id)]


def create(spec: EngineSpec) -> Engine:
    """Return the engine for a spec, as `model_server.engines.factory.create` does."""
    match spec.engine:
        case "face":
            return Painter()
        case "embedding":
            return Ruler()
        case "moderation":
            return Judge()
        case "diffusion":
            # Imported here because most workers do not need it.
            from fakes.engines.image_engine import Sketcher

            return Sketcher(spec)
        case _:
            return Parrot(spec)


def starved(spec: EngineSpec) -> Engine:
    """Fail like an engine that does not fit into memory."""
    raise MemoryError


def misconfigured(spec: EngineSpec) -> Engine:
    """Fail like an engine whose configuration is invalid."""
    raise Misconfigured(f"{spec.name} knows no such thing.")


def prompt_of(task: Chat | Completion) -> str:
    """Return the prompt of a task for the text engine."""
    if isinstance(task, Chat):
        return task.messages[-1].content
    return task.prompt if isinstance(task.prompt, str) else " ".join(map(str, task.prompt))


def dial(job_id: str) -> Dial:
    """Return a dial with two tokens at two temperatures."""
    tokens = (TokenLogit("a", b"a", 7, 2.0, 0.75), TokenLogit("\ufffd", b"\xe2\x82", 9, 1.0, 0.25))
    prompt = (PromptToken(b"<", 1, special=True), PromptToken(b"x", 3))
    return Dial(job_id, tokens, (0.5, 1.0), (4.127, 2.313), (0.365, 0.582), tokens[0], prompt)


def logprobs(text: str, count: int | None, drawn: float = -0.5) -> tuple[TokenLogprob, ...]:
    """Return the drawn token with `count` alternatives, the first of which is a part of a character."""
    if count is None:
        return ()
    others = [
        TokenLogprob("\ufffd", b"\xe2\x82", -1.5),
        *(TokenLogprob(f"{n}", b"%d" % n, -2.0 - n) for n in range(20)),
    ]
    return (TokenLogprob(text, text.encode(), drawn, tuple(others[:count])),)
