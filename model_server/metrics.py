"""What the model server counts and measures, in the names and units of Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180)
"""Upper bounds of the buckets of times, from a cached prompt to a picture on a busy processor."""

REQUESTS = Counter("tempera_models_requests", "Requests, by how they ended.", ["route", "status", "code"])
FIRST_OUTPUT = Histogram(
    "tempera_models_first_output_seconds",
    "From a job's arrival to its first token or step, the queue included.",
    ["model"],
    buckets=SECONDS,
)
RUN = Histogram("tempera_models_run_seconds", "From a job's start to its end.", ["model"], buckets=SECONDS)
PROMPT_TOKENS = Counter("tempera_models_prompt_tokens", "Tokens of the prompts of finished jobs.", ["model"])
CACHED_TOKENS = Counter("tempera_models_cached_tokens", "Those of them that were in the prefix cache.", ["model"])
TOKENS = Counter("tempera_models_tokens", "Tokens that were written.", ["model"])
STEPS = Counter("tempera_models_steps", "Steps of diffusion, each of one job.", ["model"])

READY = Gauge("tempera_models_ready", "1 if the model is loaded, else 0.", ["model"])
WAITING = Gauge("tempera_models_waiting", "Jobs that wait.", ["model"])
RUNNING = Gauge("tempera_models_running", "Jobs that run, which is the size of the batch.", ["model"])
CAPACITY = Gauge("tempera_models_capacity", "Jobs that can run at once.", ["model"])
MEMORY = Gauge("tempera_models_memory_bytes", "Memory of the model's process that stays resident.", ["model"])
TASKS = Gauge("tempera_models_tasks", "Tasks of the event loop that have not ended.")
