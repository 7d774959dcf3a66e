"""kill -9 in a loop while messages are taken: ours loses none; kombu's is shown beside.

The workers are forked from a warm process, so that two hundred lives take a minute or two.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery

from pyagent_orch import Orchestrator, Settings, Task
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents, short_lives
from support.fault_report import Report
from support.fleet import ROOT, TESTS, until
from support.load import Account

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
KILLS = [
    pytest.param(12, id="a dozen"),
    pytest.param(200, id="200", marks=[pytest.mark.long, pytest.mark.slow]),
]
PER_LIFE = 120
"""More messages than one life takes, so that there is always something to take."""


class Lives:
    """One namespace on which workers live and die."""

    def __init__(self, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url, self.namespace = server.broker_url, f"t{uuid4().hex[:10]}"
        monkeypatch.setenv(short_lives.URL, self.url)
        monkeypatch.setenv(short_lives.NAMESPACE, self.namespace)

    def program(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "support.short_lives", *arguments]

    def kill(self, kind: str, kills: int, log: Path) -> None:
        """Have so many workers live and be killed."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])}
        with log.open("wb") as errors:
            done = subprocess.run(
                self.program(kind, str(kills)), env=env, stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, timeout=500, check=False,
            )  # fmt: skip
        assert done.returncode == 0, log.read_text()[-3000:]

    def survivor(self, kind: str, log: Path) -> subprocess.Popen[bytes]:
        """A worker that is not killed."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])}
        code = (
            "import os; from support.short_lives import APPS, live; "
            f"live(APPS[{kind!r}](), os.open(os.devnull, os.O_WRONLY))"
        )
        with log.open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, "-c", code], env=env, stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors,
            )  # fmt: skip


@pytest.fixture
def lives(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Lives:
    return Lives(server, monkeypatch)


@pytest.mark.parametrize("kills", KILLS)
def test_no_task_is_lost_when_workers_are_killed_while_they_take(
    lives: Lives, tmp_path: Path, report: Report, kills: int
) -> None:
    settings = Settings(redis_url=lives.url, namespace=lives.namespace, queue=short_lives.QUEUE)
    with Orchestrator(settings=settings) as orch:
        tasks = orch.submit_many([Task(fleet_agents.echo, n) for n in range(PER_LIFE * kills)])
        lives.kill("ours", kills, tmp_path / "log")
        survivor = lives.survivor("ours", tmp_path / "survivor")
        try:
            orch.wait(*tasks, timeout=240)
        finally:
            survivor.terminate()
            survivor.wait(10)
        assert [task.output for task in tasks] == list(range(PER_LIFE * kills))
    report.add("kill -9 while taking", kills, account_of([task.id for task in tasks], []))


def account_of(ids: list[str], lost: list[str]) -> Account:
    return Account(len(ids), lost, [], [], [], [], [])


def lost_of(app: Celery, ids: list[str]) -> list[str]:
    """Those that have no result."""
    found = app.backend.client.mget([app.backend.get_key_for_task(one) for one in ids])
    return [one for one, result in zip(ids, found, strict=True) if result is None]


def results_of(app: Celery, ids: list[str]) -> int:
    return int(app.backend.client.exists(*(app.backend.get_key_for_task(one) for one in ids)))


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kind", ["ours", "kombu"])
def test_plain_celery_tasks_on_our_workers_are_not_lost_either(
    lives: Lives, tmp_path: Path, report: Report, kind: str, kills: int
) -> None:
    """The same on kombu's transport loses some now and then; that is shown, and not asserted."""
    with short_lives.plain_app() as client:
        noop = client.tasks["short.noop"]
        ids = [noop.delay(n).id for n in range(PER_LIFE * kills // 4)]
        lives.kill(kind, kills, tmp_path / "log")
        survivor = lives.survivor(kind, tmp_path / "survivor")
        try:
            if kind == "ours":
                until(lambda: results_of(client, ids) == len(ids), 240, pause=0.2)
            else:
                settled(client, ids)
        finally:
            survivor.terminate()
            survivor.wait(10)
        lost = lost_of(client, ids)
    whose = "our transport" if kind == "ours" else "kombu's transport"
    report.add(f"kill -9 while taking: plain tasks, {whose}", kills, account_of(ids, lost))
    assert not lost or kind == "kombu"


def settled(client: Celery, ids: list[str]) -> None:
    """Wait until nothing is queued or held any more: what has no result by then is lost."""
    redis = client.backend.client
    prefix = f"{os.environ[short_lives.NAMESPACE]}:"
    until(
        lambda: redis.llen(prefix + short_lives.QUEUE) + redis.hlen(f"{prefix}unacked") == 0,
        240,
        pause=0.2,
    )
