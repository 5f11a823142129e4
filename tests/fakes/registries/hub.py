"""A fake Hugging Face hub on a real socket, with the three routes that a download uses."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMIT = "c" * 40
PATIENCE_SECONDS = 60


@contextmanager
def fake_hub(
    files: Mapping[str, bytes], *, status: int = 200, code: str = "", silent: threading.Event | None = None
) -> Iterator[str]:
    """Run a hub where every repository holds `files`; yield its URL.

    With another `status`, and the `code` of the header X-Error-Code, it refuses; with `silent`, it answers only once
    that event is set.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def _answer(self, *, body: bool) -> None:
            if silent is not None:
                silent.wait(PATIENCE_SECONDS)
            path = self.path.partition("?")[0]
            if status != 200:
                self._send(status, b"{}", {"X-Error-Code": code} if code else {}, body=body)
            elif path.startswith("/api/models/"):
                listing = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
                answer = {"id": "some/model", "sha": COMMIT, "siblings": listing}
                self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, body=body)
            elif (content := files.get(path.partition(f"/resolve/{COMMIT}/")[2])) is not None:
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self._send(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT}, body=body)
            else:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)

        def _send(self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        if silent is not None:
            silent.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_SECONDS)
