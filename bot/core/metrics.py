"""What the bot counts and measures, in the names and units of Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter("tempera_bot_answers", "Answers, by how they ended.", ["platform", "command", "end"])
REFUSALS = Counter("tempera_bot_refusals", "Requests that got a sentence instead of an answer.", ["platform", "kind"])
ACKNOWLEDGEMENT = Histogram(
    "tempera_bot_acknowledgement_seconds",
    "From a request's arrival to the start of its answer: the platform was told in between.",
    ["platform"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 3),
)
FIRST_OUTPUT = Histogram(
    "tempera_bot_first_output_seconds",
    "From the start of an answer to its first text or picture.",
    ["command"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180),
)
CONNECTIONS = Counter("tempera_bot_connections", "Connections made to a platform, the first too.", ["platform"])
RUNNING = Gauge("tempera_bot_running", "Answers that are being made.")
TASKS = Gauge("tempera_bot_tasks", "Tasks of the event loop that have not ended.")
