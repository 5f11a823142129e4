"""Prints the stacks of all tasks and threads after a timeout, so that the log has the cause of a rare hang."""

import asyncio
import faulthandler
import sys


def show_stacks() -> None:
    """Print the stack of each task of this loop and each thread of this process."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=12, file=sys.stderr)
    sys.stderr.flush()
    faulthandler.dump_traceback(file=2)
