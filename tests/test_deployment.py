"""The files in deploy/ are accepted by the programs that they are for."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fakes.model_server.cluster import require_ray
from prometheus_client.metrics import MetricWrapperBase

from bot.config.sections import SlackSection, WebSection
from bot.core import metrics as bot_metrics
from model_server import metrics as model_metrics
from model_server.catalogue import load_catalogue

PROJECT = Path(__file__).parent.parent
DEPLOY = PROJECT / "deploy"
SECRETS = {"MODELS_KEY": "one", "POSTGRES_PASSWORD": "two"}


def check(*command: str | Path, **variables: str) -> str:
    """Return what a program prints, which has to accept the files; skip if it is missing, but not in CI."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if shutil.which(str(command[0]), path=path) is None and os.environ.get("CI") != "true":
        pytest.skip(f"{command[0]} is not installed")
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_dockerfiles_have_no_complaints() -> None:
    assert check("hadolint", *DEPLOY.glob("*.Dockerfile")) == ""


@pytest.mark.parametrize(("profile", "models"), [("cpu", "models"), ("gpu", "models-gpu")])
def test_the_compose_file_starts_one_model_server_and_shows_only_the_bot(profile: str, models: str) -> None:
    text = check("docker-compose", "--file", DEPLOY / "compose.yaml", "--profile", profile, "config", **SECRETS)
    services = yaml.safe_load(text)["services"]
    assert services.keys() == {"bot", models, "postgres", "redis"}
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert {(port["host_ip"], port["published"], port["target"]) for port in ports} == {
        ("127.0.0.1", str(section.port), section.port) for section in (WebSection(), SlackSection())
    }
    assert services["bot"]["environment"]["TEMPERA_MODEL_SERVER__API_KEY"] == "one"
    for service in services.values():
        assert Path(service.get("build", {}).get("context", PROJECT)) == PROJECT
        dockerfile = service.get("build", {}).get("dockerfile", "deploy/compose.yaml")
        assert (PROJECT / dockerfile).exists()


def test_the_service_for_kubernetes_is_what_ray_serve_and_the_model_server_read(tmp_path: Path) -> None:
    require_ray()
    from ray.serve.schema import ServeDeploySchema

    catalogue, *_, service = yaml.safe_load_all((DEPLOY / "ray-service.yaml").read_text("utf-8"))
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    [application] = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"])).applications
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert application.args.keys() == {"serve"}
    options = application.args["serve"]
    assert options[-1] == "/etc/tempera/cluster.toml"
    overlay = tmp_path / "cluster.toml"
    overlay.write_text(catalogue["data"]["cluster.toml"])
    entries = load_catalogue(
        PROJECT / "config" / "models.toml", PROJECT / "config" / "presets" / f"{options[-3]}.toml", overlay
    )
    assert [entry.replicas for entry in entries.values() if entry.gpus][-1] == (1, 4)
    assert 0.8 < sum(entry.gpus for entry in entries.values()) <= 1
    # KubeRay starts applications once the head is ready, and lists Ray's own ports only where a container lists none.
    [head] = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert head["readinessProbe"]["httpGet"]["path"] == "/api/local_raylet_healthz"
    assert "ports" not in head


def test_the_proxys_file_is_valid() -> None:
    assert "Valid configuration" in check(
        "caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"
    )


def test_every_figure_of_the_board_and_its_page_exists() -> None:
    known = {
        f"{family.name}{end}"
        for module in (bot_metrics, model_metrics)
        for metric in vars(module).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.describe()
        for end in {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum", ""]}[family.type]
    }
    for path in (DEPLOY / "grafana.json", PROJECT / "docs" / "operate" / "monitoring.md"):
        named = set(re.findall(r"tempera_(?:bot|models)_\w+", path.read_text("utf-8")))
        assert len(named) >= 9
        assert named <= known, named - known


@pytest.mark.parametrize("name", ["tempera-bot", "tempera-models"])
def test_the_units_are_valid_and_closed(name: str, tmp_path: Path) -> None:
    unit = tmp_path / f"{name}.service"
    # The program is not installed where the unit looks for it.
    text = (DEPLOY / "systemd" / unit.name).read_text("utf-8").replace("/opt/tempera/source/.venv/bin/", f"{tmp_path}/")
    unit.write_text(text, "utf-8")
    program = tmp_path / ("tempera" if name == "tempera-bot" else name)
    program.touch(mode=0o755)
    assert check("systemd-analyze", "verify", unit) == ""
    check("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


@pytest.mark.parametrize(("name", "unit"), [("tempera", "tempera-bot"), ("tempera-models", "tempera-models")])
def test_commands_run_as_the_service_does(name: str, unit: str, tmp_path: Path) -> None:
    starter = tmp_path / "systemd-run"
    starter.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', "utf-8")
    starter.chmod(0o755)
    (tmp_path / name).symlink_to(DEPLOY / "systemd" / "tempera")
    given = check(tmp_path / name, "do", "a b", PATH=f"{tmp_path}:{os.environ['PATH']}").splitlines()
    text = (DEPLOY / "systemd" / f"{unit}.service").read_text("utf-8")
    values = dict(re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE))
    assert given[-2:] == ["do", "a b"]
    assert given[-3] == values["ExecStart"].split()[0]
    assert {
        f"--uid={values['User']}",
        f"--working-directory={values['WorkingDirectory']}",
        f"--property=UMask={values['UMask']}",
        f"--property=EnvironmentFile={values['EnvironmentFile']}",
        *(f"--setenv={variable}" for variable in values["Environment"].split()),
    } <= set(given)


@pytest.mark.parametrize("works", [True, False])
def test_an_environment_that_cannot_import_the_package_is_set_up_anew(tmp_path: Path, works: bool) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").write_text('"torch"\n')
    for name in ("bot", "models"):
        (tmp_path / f"deploy/locks/{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"deploy/locks/{name}.txt").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/.run").touch()
    python = tmp_path / ".venv/bin/python"
    # Without the site's packages, as after an upgrade.
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {"" if works else "-S"} "$@"\n')
    python.chmod(0o755)
    told = check("make", "--dry-run", "--directory", tmp_path, "run")
    assert ("is set up anew" in told, "Installing Tempera" in told, python.exists()) == (not works, not works, works)
