"""Programs of a fleet say so loudly when strangers could get in, and what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import Command
from support.fleet import until
from support.raw_server import RawServer

WARNED = r"WARNING.*Redis at 127\.0\.0\.1:\d+ serves 0\.0\.0\.0 and wants no password.*requirepass"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path, None)


@pytest.mark.parametrize(
    "program", [("worker", "-P", "solo"), ("beat",)], ids=lambda words: words[0]
)
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_a_redis_that_serves_the_network_without_a_password_is_warned_of(
    command: Command, program: tuple[str, ...], is_open: bool
) -> None:
    protected = "no" if is_open else "yes"
    options = {"bind": "0.0.0.0", "protected-mode": protected}
    with RawServer(command.directory, **options) as server:
        server.run("CONFIG", "SET", "requirepass", "")
        command.url = f"redis://127.0.0.1:{server.port}/0"
        log = command.directory / "log"
        with log.open("w") as output, command.running(*program, stdout=output, stderr=output):
            # It looks before it begins.
            until(lambda: command.here("health", program[0]).returncode == 0, 60, pause=0.2)
    found = re.search(WARNED, log.read_text())
    assert (found is not None) is is_open, log.read_text()


def test_celerys_own_flower_command_warns_when_it_has_no_login(command: Command) -> None:
    # Refused behind the warning: its configuration is not there.
    words = ["-A", "workers.celery_app", "flower", "--conf=nowhere.py"]
    done = subprocess.run(
        [sys.executable, "-m", "celery", *words], cwd=command.directory,
        env=command.environment({"PYAGENT_ORCH_REDIS_URL": "redis://127.0.0.1:1/0"}),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Flower at every address of this machine has no password" in done.stderr
