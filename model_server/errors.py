"""The errors of the model server: for HTTP clients in the shape of OpenAI's API, and for the operator."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
INTERRUPTED_STATUS = 130
RETRY_AFTER_SECONDS = 5
"""Time after which a model that is loading, or a worker that is being restarted, may be ready."""


class OperatorError(Exception):
    """An error that ends a command, such as a bad catalogue. Its text is a sentence for the operator."""


def run_command(command: Callable[[], int], *, resumes: bool = False) -> int:
    """Run a command. Return its status, 1 after an OperatorError, whose sentence goes to stderr, or 130 after Ctrl-C.

    `resumes`: if it is started again, it goes on from where it was interrupted.
    """
    try:
        return command()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        more = " The same command goes on from here." if resumes else ""
        sys.stderr.write(f"\nStopped.{more}\n")
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader closed the pipe; the flush at exit must not fail because of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


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
