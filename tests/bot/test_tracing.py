"""Traces of real programs, which a collector gets: one for the bot's answer and the model server's part of it."""

import asyncio
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, running_gateway
from fakes.platforms.web_page import visitor
from fakes.programs.terminal_chat import Person, ended, read_until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bot.config.sections import http_address


@contextmanager
def collector() -> Iterator[tuple[str, "Queue[tuple[str, Any]]"]]:
    """Collect spans, each with the name of its program, for as long as the context lasts; yields the address, too."""
    spans: Queue[tuple[str, Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for group in sent.resource_spans:
                names = {one.key: one.value.string_value for one in group.resource.attributes}
                for scope in group.scope_spans:
                    for span in scope.spans:
                        spans.put((names["service.name"], span))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield http_address("127.0.0.1", server.server_port), spans
        server.shutdown()


@pytest.mark.processes
async def test_an_answer_and_the_models_part_of_it_are_one_trace(
    program: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (address, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with running_gateway(program.home) as gateway:
            program.models = gateway.url
            program.more = {"TEMPERA_WEB__PORT": "0"}
            process = await program.start("run")
            try:
                said = await read_until(process, "The web chat is at http")
                url = re.search(r"The web chat is at (http://\S+)", said)
                assert url is not None
                async with visitor(url[1]) as ann, ann.page("Ann") as page:
                    await page.say("/ask hello there")
                    assert (await page.final())["reply"]["text"]
                found: dict[tuple[str, str], Any] = {}
                wanted = {("tempera-bot", "answer"), ("tempera-models", "POST /v1/chat/completions")}
                while not wanted <= found.keys():
                    service, span = await asyncio.to_thread(spans.get, timeout=PATIENCE_SECONDS)
                    found[service, span.name] = span
            finally:
                process.send_signal(signal.SIGTERM)
                await ended(process)
    answer, part = (found[one] for one in sorted(wanted))
    assert part.trace_id == answer.trace_id
    assert part.parent_span_id == answer.span_id
    assert {event.name for event in part.events} == {"started", "first output"}
    told = {one.key: one.value.string_value for span in (answer, part) for one in span.attributes}
    assert told == {"tempera.command": "ask", "tempera.platform": "web", "tempera.model": "parrot"}
