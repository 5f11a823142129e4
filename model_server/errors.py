"""What goes wrong on purpose, in the shape that OpenAI's clients read."""

from __future__ import annotations

from typing import Any

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
RETRY_AFTER_SECONDS = 5
"""After which what is not ready now may be: a model that loads, a worker that is started again."""


class ApiError(Exception):
    """An answer with `status` whose `message` is one sentence for the user. `retry_after` is in whole seconds.

    `final` tells OpenAI's clients, which try again by themselves after a 5xx, that this would end the same way.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if final:
            self.headers["x-should-retry"] = "false"

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer, or of the event in a stream."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
