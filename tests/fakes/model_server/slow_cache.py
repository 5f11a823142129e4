"""A cache of models of which one takes as long as a test wants."""

import threading
from pathlib import Path

from model_server.catalogue import CatalogueEntry
from model_server.errors import OperatorError
from model_server.files.download import FetchListener


class SlowCache:
    """Stops at 43% of the model `slow` until `go_on` is set; then it fails with `problem` if there is one."""

    def __init__(self, folder: Path, slow: str = "parrot") -> None:
        self._folder = folder
        self._slow = slow
        self.go_on = threading.Event()
        self.problem = ""

    def ensure(self, entry: CatalogueEntry, progress: FetchListener) -> Path:
        if entry.name == self._slow:
            progress.update("fetching weights.bin", 43, 100)
            self.go_on.wait()
            if self.problem:
                raise OperatorError(self.problem)
        return self._folder
