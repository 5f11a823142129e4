"""What everybody is doing, for a wait that came to nothing: a hang that happens once leaves its cause in the log."""

import asyncio
import faulthandler
import sys


def show_stacks() -> None:
    """Print where each task of this loop and each thread of this process stands."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=12, file=sys.stderr)
    sys.stderr.flush()
    faulthandler.dump_traceback(file=2)
