"""The systemd units: what systemd says of them, and that each is confined and stops in time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from pyagent_orch.config import Settings
from support.compose import env_file
from support.fleet import ROOT

FOLDER = ROOT / "deploy" / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))
VENV = "/opt/pyagent-orch/venv/bin/pyagent-orch"
NEEDED = {
    "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
    "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
    "CapabilityBoundingSet": "", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallFilter": "@system-service", "UMask": "0077",
}  # fmt: skip


def read(file: Path) -> dict[str, dict[str, list[str]]]:
    """The sections of a unit: their keys with all that stands behind them."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    current = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"{file.name}: {line}"
            sections[current][key].append(value)
    return sections


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
def test_a_service_is_confined_and_has_its_secrets_from_files(file: Path) -> None:
    service = read(file)["Service"]
    assert {key: service[key][-1:] for key in NEEDED} == {k: [v] for k, v in NEEDED.items()}
    assert service["EnvironmentFile"][0] == "/etc/pyagent-orch/environment"
    assert service["MemoryMax"]
    assert service["Restart"] == ["on-failure"]
    assert "PASSWORD=" not in file.read_text()
    assert read(file)["Install"]["WantedBy"] == ["pyagent-orch.target"]
    assert read(file)["Unit"]["PartOf"] == ["pyagent-orch.target"]


def test_a_worker_has_its_time_to_stop_and_a_name_of_its_own() -> None:
    service = read(FOLDER / "pyagent-orch-worker@.service")["Service"]
    assert float(service["TimeoutStopSec"][0]) >= Settings().stop_timeout_seconds + 10
    # SIGTERM for the worker alone: its pool is its own business.
    assert service["KillMode"] == ["mixed"]
    assert "--name worker-%i" in service["ExecStart"][0]
    # The largest pool of docs/production.md, and the threads of the worker itself.
    assert int(service["TasksMax"][0]) >= 2 * 512


def test_the_example_of_the_environment_is_one() -> None:
    given = env_file(FOLDER / "environment.example")
    known = {f"PYAGENT_ORCH_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith("PYAGENT_ORCH_")} <= known
    assert Settings.from_env(given).redis_url


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """Where there is a systemd, its own check reads every unit."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return

    def verify(folder: Path) -> str:
        units = sorted(map(str, [*folder.glob("*.service"), *folder.glob("*.target")]))
        done = subprocess.run(
            [program, "verify", *units], capture_output=True, text=True, timeout=60, check=False
        )
        # What it says of the machine's own units is not ours.
        lines = (done.stdout + done.stderr).splitlines()
        return "\n".join(line for line in lines if "pyagent-orch" in line)

    for file in FOLDER.glob("*.[st]*"):
        # Whatever can be run here stands for what is installed there.
        (tmp_path / file.name).write_text(file.read_text().replace(VENV, "/bin/true"))
    assert verify(tmp_path) == ""
    broken = tmp_path / "pyagent-orch-beat.service"
    broken.write_text(re.sub(r"^Restart=", "Restartt=", broken.read_text(), flags=re.MULTILINE))
    assert "Restartt" in verify(tmp_path)
