"""What keeps the suite from waiting for ever: children that SIGINT reaches, and a longest time for each test."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Give SIGINT back to the children of a process that ignores it, as one that was started by `nohup` or `&` does.

    A signal that is ignored is ignored by the children as well; one that is handled is not. So it is handled here,
    by doing nothing.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let the test fail that is still running after this time, whatever its main thread waits for."""

    def give_up(number: int, frame: object) -> None:
        pytest.fail(f"The test still waited after {seconds:g} seconds.")

    handler = signal.signal(signal.SIGALRM, give_up)
    # Again and again, since what cleans up after the test may wait, too.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds / 10, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
