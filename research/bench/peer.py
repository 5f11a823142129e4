"""Runs llama.cpp's server, from `xllamacpp`: `python -m research.bench.peer GGUF PORT THREADS SLOTS CONTEXT`.

It ends when its standard input is closed.
"""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Serve `GGUF` with THREADS threads to SLOTS clients at once, each with CONTEXT tokens."""
    xllamacpp = importlib.import_module("xllamacpp")
    gguf, port, threads, slots, context = sys.argv[1], *map(int, sys.argv[2:6])
    settings = xllamacpp.CommonParams()
    settings.model.path = gguf
    settings.hostnames, settings.port, settings.ui = ["127.0.0.1"], port, False
    settings.n_parallel, settings.n_ctx = slots, slots * context
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.n_gpu_layers = 0
    server = xllamacpp.Server(settings)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
