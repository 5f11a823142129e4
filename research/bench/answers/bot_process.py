"""Runs the bot for a benchmark: `python -m research.bench.answers.bot_process HOME PORT MODEL_SERVER`.

HOME is an empty folder for its database, PORT that of its web chat. It ends when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import sys

from research import ROOT

QUOTAS = ("user.minute", "user.hour", "user.day", "address.minute", "address.hour", "server.hour", "server.day")
SETTINGS = {f"limits.{name}": 0 for name in ("cooldown", *QUOTAS)}


def main() -> None:
    """Become `tempera run`, until standard input is closed, with defaults in all but three things.

    It limits no use, keeps no conversation, and loads no further plugins.
    """
    home, port, models_url = sys.argv[1:4]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPERA_")}
    environment = inherited | {
        "HOME": home,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "TEMPERA_MODEL_SERVER__URL": models_url,
        "TEMPERA_MODEL_SERVER__VERIFY": "false",
        "TEMPERA_WEB__PORT": port,
        "TEMPERA_DATABASE__URL": f"sqlite:///{home}/tempera.db",
        # No message is kept, so that each question begins a conversation.
        "TEMPERA_DATABASE__RETENTION_DAYS": "0",
        "TEMPERA_PLUGINS__ENTRY_POINTS": "false",
        "TEMPERA_SETTINGS": json.dumps(SETTINGS),
    }
    os.chdir(home)
    command = [sys.executable, "-m", "research.bench.until_eof", sys.executable, "-m", "bot", "run", "--no-models"]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
