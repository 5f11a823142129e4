"""Runs the bot for a benchmark: `python -m research.bench.answers.bot_process HOME PORT MODEL_SERVER`.

HOME is an empty folder for its database, PORT that of its web chat. It ends when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

from research import ROOT

QUOTAS = ("user.minute", "user.hour", "user.day", "address.minute", "address.hour", "server.hour", "server.day")
SETTINGS = {f"limits.{name}": 0 for name in ("cooldown", *QUOTAS)}


def main() -> int:
    """Run `tempera run` with defaults in all but three things, and return its status.

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
    command = [sys.executable, "-m", "bot", "run", "--no-models"]
    with subprocess.Popen(command, env=environment, cwd=home, stdin=subprocess.DEVNULL) as bot:  # noqa: S603 - our own
        signal.signal(signal.SIGTERM, lambda *_: bot.terminate())

        def end_with_input() -> None:
            while os.read(0, 4096):
                pass
            bot.terminate()

        threading.Thread(target=end_with_input, daemon=True).start()
        return bot.wait()


if __name__ == "__main__":
    sys.exit(main())
