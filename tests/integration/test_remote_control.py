"""Celery's own remote control and status commands work with our workers."""

from __future__ import annotations

import subprocess
import sys

from pyagent_orch import Settings, create_app
from support.fleet import Fleet


def test_workers_answer_celerys_remote_control(fleet: Fleet) -> None:
    fleet.start("threads", 1)
    [name] = fleet.orchestrator.workers()
    app = create_app(Settings(redis_url=fleet.url, namespace=fleet.namespace))
    with app:
        store = fleet.orchestrator._store
        assert app.control.inspect(timeout=2).ping() == {name: {"ok": "pong"}}
        before = set(store.client.keys("*"))
        [[queue]] = app.control.inspect(timeout=2).active_queues().values()
        assert queue["name"] == "agents"
        assert set(store.client.keys("*")) == before, "a question leaves a key behind"


def test_celerys_own_command_finds_the_workers(fleet: Fleet) -> None:
    fleet.start("threads", 1)
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.celery_app", "status", "--timeout", "2"],
        env=fleet.environment(), cwd=fleet.directory, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 node online." in done.stdout
