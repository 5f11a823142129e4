"""Runs a command until standard input is closed: `python -m research.bench.until_eof COMMAND …`.

A server that knows no such end would outlive a benchmark that was killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

STOP_TIMEOUT_SECONDS = 8.0


def main() -> int:
    """Run the command; return its status, or 0 if it was ended here."""
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as child:  # noqa: S603 - the benchmark's own command
        ended = threading.Event()

        def end() -> None:
            while os.read(0, 4096):
                pass
            ended.set()
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()

        threading.Thread(target=end, daemon=True).start()
        status = child.wait()
    return 0 if ended.is_set() else status


if __name__ == "__main__":
    sys.exit(main())
