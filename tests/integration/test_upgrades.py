"""Upgrades: what an older version has written is read and goes on; what is newer is refused."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent_orch import LayoutError, Orchestrator, Settings, Task, Workflow
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store.keys import LAYOUT
from support.fleet import ROOT, Fleet, until
from support.fleet_agents import echo
from support.snapshot import SNAPSHOTS, load

VERSIONS = sorted(file.stem for file in SNAPSHOTS.glob("*.json"))
NAMESPACE = "released"
YEARS = 50 * 365 * 86_400
"""Snapshots are read however old they are: nothing in them has expired by then."""
OLD = {"PYAGENT_ORCH_RECORD_TTL_SECONDS": str(YEARS)}


class Restored:
    """A server with a snapshot in it, and a client."""

    def __init__(self, server: PrivateServer, directory: Path, version: str) -> None:
        settings = Settings(
            redis_url=server.broker_url, namespace=NAMESPACE, record_ttl_seconds=YEARS
        )
        self.orch = Orchestrator(settings=settings)
        self.client = self.orch._store.client
        self.snapshot = load(self.client, version, ttl_ms=YEARS * 1000)
        self.fleet = Fleet(server.broker_url, NAMESPACE, directory)

    def start(self, *queues: str) -> None:
        self.fleet.start("threads", 4, "-Q", ",".join(queues or ("agents", "later")), env=OLD)


@pytest.fixture(params=VERSIONS)
def restored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restored]:
    with PrivateServer() as server:
        found = Restored(server, tmp_path, request.param)
        yield found
        found.fleet.close()
        found.orch.close()


def test_every_record_of_an_older_version_is_read(restored: Restored) -> None:
    orch = restored.orch
    hashes = {
        key.partition(":task:")[2]: one["content"]
        for key, one in restored.snapshot["keys"].items()
        if ":task:" in key
    }
    listed = {task.id: task for task in orch.tasks(limit=None)}
    assert listed.keys() == hashes.keys()
    for task_id, fields in hashes.items():
        task = orch.get_task(task_id)
        assert (task.status, task.name) == (fields["status"], fields["name"])
        assert (task.output is not None) == (fields["status"] == "completed"), task
        assert (task.error is not None) == ("error" in fields)
    done = orch.get_task("completed")
    assert done.output == {"text": "é"}
    assert done.metadata == {"user": "alice"}
    assert (done.priority, done.timeout, done.attempts) == (3, 60, 1)
    assert orch.get_task("model").usage.requests == 1
    assert str(orch.get_task("failed").error).startswith("ValueError")
    workflows = {one.id: one.status for one in orch.workflows(limit=None)}
    wanted = {
        "w1": "completed",
        "w2": "failed",
        "w5": "cancelled",
        "w6": "running",
        "w8": "pending",
    }
    assert wanted.items() <= workflows.items()
    assert orch.get_workflow("w1").outputs == {"a": "x", "b": "X!"}
    jobs = {job.id: job for job in orch.jobs()}
    assert jobs.keys() == {"interval", "cron", "once", "nightly", "paused"}
    assert not jobs["paused"].enabled
    assert len(orch.job_runs("interval")) == 1
    assert {letter.id for letter in orch.dead_letters()} >= {"failed"}
    types = {event.type for event in orch.events()}
    assert {"task.completed", "workflow.failed", "job.fired", "snapshot.taken"} <= types
    assert orch.measure().tasks["pending"] > 0
    assert orch.doctor()


def test_what_an_older_version_left_undone_is_done(restored: Restored) -> None:
    orch = restored.orch
    restored.start()
    waited = [orch.get_task(f"queued-{priority}") for priority in (1, 5, 10)]
    waited += [orch.get_task("queued-model"), orch.get_task("running")]
    flows = [orch.get_workflow(workflow) for workflow in ("w6", "w7", "w8")]
    # Their pause between two attempts was an hour.
    for task_id in ("retrying", "w7.each.0.1", "delayed"):
        restored.client.zadd(orch._store.keys.delayed, {task_id: 1})
    waited += [orch.get_task("retrying"), orch.get_task("delayed")]
    orch.wait(*waited, *flows, timeout=40)
    assert {task.status for task in waited} == {"completed"}
    assert orch.get_task("running").attempts == 2
    assert orch.get_workflow("w6").outputs == {"a": "half", "b": "HALF", "c": "so HALF"}
    assert orch.get_workflow("w7").output == ["attempt 1", "attempt 2"]
    assert orch.get_workflow("w8").outputs == {"a": "first", "b": "FIRST SECOND"}


def test_every_act_works_on_the_records_of_an_older_version(restored: Restored) -> None:
    orch = restored.orch
    again = orch.submit(echo, {"text": "é"}, key="charge-1")
    assert again.id == "completed", "the key of an older version is known"
    assert orch.cancel("queued-10")
    assert orch.cancel("retrying")
    assert orch.cancel("w6.b")
    assert orch.get_workflow("w6").status in {"cancelled", "failed"}
    assert orch.get_workflow("w7").cancel()
    assert orch.retry("failed").status == "pending"
    assert orch.retry("cancelled").status == "pending"
    orch.get_workflow("w2").retry_failed()
    orch.pause("interval")
    orch.resume("paused")
    orch.change("cron", cron="0 10 * * MON")
    run = orch.run_now("once")
    assert orch.unschedule("nightly")
    heard: list[str] = []
    orch.on("task.completed", lambda task: heard.append(task.id), durable="alerts")
    restored.start()
    assert run.wait(timeout=30).status == "completed"
    # `fail` fails again, which is an end like any other.
    assert orch.get_task("failed").wait(timeout=20).status == "failed"
    assert orch.get_task("cancelled").wait(timeout=20).output == "never"
    assert orch.get_workflow("w2").wait(timeout=20).status == "failed"
    until(lambda: run.id in heard)
    measures = orch.measure()
    assert measures.counters.finished["echo", "cancelled"] >= 1


def test_a_namespace_that_a_newer_version_has_taken_over_is_refused_by_every_writer(
    fleet: Fleet,
) -> None:
    orch, client = fleet.orchestrator, fleet.orchestrator._store.client
    worker = fleet.start("threads", 1)
    keys = orch._store.keys
    assert client.get(keys.layout) == str(LAYOUT)
    client.set(keys.layout, LAYOUT + 1)
    assert worker.process.wait(20) == os.EX_CONFIG
    assert f"layout {LAYOUT + 1}" in worker.text()
    before = set(client.scan_iter(f"{keys.prefix}task:*"))
    for write in (
        lambda: orch.submit("echo", 1),
        lambda: orch.submit_workflow(Workflow(name="w", tasks=[Task("echo", 1, name="a")])),
    ):
        with pytest.raises(LayoutError, match=f"layout {LAYOUT + 1}.*Upgrade"):
            write()
    assert set(client.scan_iter(f"{keys.prefix}task:*")) == before
    late = fleet.start("threads", 1, wait=False)
    assert late.process.wait(30) == os.EX_CONFIG


def test_each_released_version_has_a_snapshot() -> None:
    """Also the one to be released: a new number in pyproject.toml wants a new snapshot."""
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    missing = {project["version"], *released} - set(VERSIONS)
    assert not missing, f"tests/snapshots/take.py takes one of {missing}"
