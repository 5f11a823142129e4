"""`python -m research.bench BENCHMARK`: runs a benchmark."""

import sys

from model_server.errors import run_command
from research import bench

if __name__ == "__main__":
    sys.exit(run_command(lambda: bench.main(sys.argv[1:])))
