"""The errors of the model server: for HTTP clients in the shape of OpenAI's API, and for the operator."""

from __future__ import annotations

from typing import Any

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
RETRY_AFTER_SECONDS = 5
"""Time after which a model that is loading, or a worker that is being restarted, may be ready."""


class OperatorError(Exception):
    """An error that ends a command, such as a bad catalogue. Its text is a sentence for the operator."""


class ApiError(Exception):
    """An error response with `status` whose `message` is one sentence for the user. `retry_after` is in whole seconds.

    OpenAI's clients retry by themselves after a 5xx; `final` tells them that a retry would fail the same way.
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
        """Return the JSON object of the response, or of the event in a stream."""
        kind = ERROR_TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def invalid_value(message: str, param: str | None = None) -> ApiError:
    """Return the error (400) for a field `param` whose value is refused."""
    return ApiError(400, message, code="invalid_value", param=param)
