"""The gateway as an application of Ray Serve: what a RayService of Kubernetes starts (`deploy/ray-service.yaml`)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import ray
from ray import serve

CHECK_SECONDS = 2.0


class Gateway:
    """Runs the gateway in a process of its own, on the node where Ray Serve has put this; it ends with this."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the operator wrote the arguments
            [sys.executable, "-m", "model_server", "serve", "--cluster", "--exit-on-eof", *arguments],
            stdin=subprocess.PIPE,
            env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
        )

    def check_health(self) -> None:
        """Raise an exception if the gateway ended; Ray Serve then replaces this."""
        if (status := self._process.poll()) is not None:
            raise RuntimeError(f"The gateway ended with status {status}.")


def build(arguments: dict[str, list[str]]) -> Any:
    """Return the application. The argument `serve` has what comes after `tempera-models serve --cluster`.

    A resource named `gateway` says on which node it runs, which has its address.
    """
    options = {"num_cpus": 0, "resources": {"gateway": 1}}
    deployment = serve.deployment(Gateway, ray_actor_options=options, health_check_period_s=CHECK_SECONDS)
    return deployment.bind(arguments["serve"])
