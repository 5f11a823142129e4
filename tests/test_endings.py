"""The suite ends by itself, however it is started and whatever a test waits for."""

import asyncio
import signal
import subprocess
import sys
import threading

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, environment
from fakes.programs.endings import time_limit

IGNORING = """
import signal, subprocess, sys
from fakes.programs.endings import interruptible_children
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"]
with interruptible_children():
    signal.raise_signal(signal.SIGINT)
    subprocess.run(child, check=True, timeout=60)
print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


def test_children_can_be_interrupted_where_the_suite_cannot() -> None:
    command = [sys.executable, "-c", IGNORING]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment(), timeout=2 * PATIENCE_SECONDS
    )
    assert done.stdout.split() == ["True", "True"]


def test_every_child_of_a_test_can_be_interrupted() -> None:
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.strip() == "True"


def test_a_test_that_waits_for_ever_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"still waited after 0\.05 seconds"), time_limit(0.05):
        threading.Event().wait()
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 1


def test_a_coroutine_that_waits_for_ever_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="still waited"), time_limit(0.05):
        asyncio.run(asyncio.Event().wait())
