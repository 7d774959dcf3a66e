"""Claimed tasks on their short way through a worker: watched, waiting ahead, cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyagent_orch import Event, Orchestrator, Settings, Task, TaskStatus, create_app
from support.fleet import Fleet, until

POOLS = ["threads", "prefork"]


def work_in(fleet: Fleet) -> None:
    """Have the worker find out that its tasks are short."""
    tasks = [Task("echo", number) for number in range(400)]
    fleet.orchestrator.submit_many(tasks)
    fleet.orchestrator.wait(*tasks, timeout=60)


def wait_for_heartbeats(orch: Orchestrator) -> None:
    """Wait until the worker has done what it was told by now."""
    client, prefix = orch._store.client, orch._store.keys.prefix
    [worker] = client.scan_iter(f"{prefix}worker:*")
    until(lambda: not list(client.scan_iter(f"{prefix}cancels:*")))
    # Told by one heartbeat, done before the next.
    seen = client.hget(worker, "seen")
    until(lambda: client.hget(worker, "seen") != seen)


def told(orch: Orchestrator, kind: str) -> list[Event]:
    return [event for event in orch.events() if event.type == kind]


@pytest.mark.parametrize("pool", POOLS)
def test_what_waits_behind_long_tasks_goes_to_whoever_is_free(
    fleet: Fleet, tmp_path: Path, pool: str
) -> None:
    orch = fleet.orchestrator
    fleet.start(pool, 2)
    work_in(fleet)
    gate = tmp_path / "gate"
    held = [Task("wait_for_file", str(gate), priority=1) for _ in range(2)]
    behind = [Task("echo", number) for number in range(6)]
    orch.submit_many([*held, *behind])
    until(lambda: all(task.status is TaskStatus.RUNNING for task in held), 20)
    fleet.start("threads", 2)
    orch.wait(*behind, timeout=30)
    assert [task.status for task in held] == [TaskStatus.RUNNING] * 2
    assert [task.output for task in behind] == list(range(6))
    # What was taken ahead and came back has lost no attempt.
    assert {task.attempts for task in behind} == {1}
    gate.touch()
    orch.wait(*held, timeout=30)
    assert told(orch, "task.recovered") == []


@pytest.mark.parametrize("pool", POOLS)
def test_what_waits_is_cancelled_and_never_begins(fleet: Fleet, tmp_path: Path, pool: str) -> None:
    orch = fleet.orchestrator
    fleet.start(pool, 2)
    work_in(fleet)
    gate, lines = tmp_path / "gate", tmp_path / "lines"
    held = [Task("wait_for_file", str(gate), priority=1) for _ in range(2)]
    behind = [Task("append_line", {"path": str(lines)}) for _ in range(6)]
    orch.submit_many([*held, *behind])
    assert all(task.cancel() for task in behind)
    until(lambda: all(task.status is TaskStatus.RUNNING for task in held), 20)
    wait_for_heartbeats(orch)
    gate.touch()
    orch.wait(*held, *behind, timeout=30)
    assert {task.status for task in behind} == {TaskStatus.CANCELLED}
    assert orch.submit("echo", "next").result(timeout=20) == "next"
    assert not lines.exists()


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_stops_gives_back_what_waits(fleet: Fleet, tmp_path: Path, pool: str) -> None:
    orch = fleet.orchestrator
    worker = fleet.start(pool, 2)
    work_in(fleet)
    gate = tmp_path / "gate"
    held = [Task("wait_for_file", str(gate), priority=1) for _ in range(2)]
    behind = [Task("echo", number) for number in range(6)]
    orch.submit_many([*held, *behind])
    until(lambda: all(task.status is TaskStatus.RUNNING for task in held), 20)
    worker.process.terminate()
    fleet.start("threads", 2)
    orch.wait(*behind, timeout=30)
    assert [task.status for task in held] == [TaskStatus.RUNNING] * 2
    gate.touch()
    orch.wait(*held, timeout=30)
    assert {task.attempts for task in [*held, *behind]} == {1}
    # Not `stop`, which would tell it a second time in the middle of its end.
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize("pool", POOLS)
def test_both_lines_of_celerys_log_are_there(fleet: Fleet, pool: str) -> None:
    worker = fleet.start(pool, 2)
    task = fleet.orchestrator.submit("upper", "a short text", name="Shout")
    assert task.result(timeout=20) == "A SHORT TEXT"
    until(lambda: f"Task Shout[{task.id}] succeeded in" in worker.text())
    assert f"Task Shout[{task.id}] received" in worker.text()
    assert "'A SHORT TEXT'" in worker.text()


@pytest.mark.parametrize("pool", POOLS)
def test_an_agent_sees_its_current_celery_task_and_failures_are_celerys(
    fleet: Fleet, pool: str
) -> None:
    orch = fleet.orchestrator
    worker = fleet.start(pool, 2)
    task = orch.submit("current_celery_task", None)
    assert task.result(timeout=20) == [task.id, "pyagent_orch.run"]
    failed = orch.submit("fail", "on purpose")
    failed.wait(timeout=20)
    assert failed.status is TaskStatus.FAILED
    until(
        lambda: (
            f"Task fail[{failed.id}] raised unexpected: ValueError('on purpose')" in worker.text()
        )
    )


def test_a_time_limit_that_celery_is_told_ends_a_claimed_task(fleet: Fleet) -> None:
    orch = fleet.orchestrator
    fleet.start("prefork", 1)
    with create_app(Settings(redis_url=fleet.url, namespace=fleet.namespace)) as app:
        answers = app.control.time_limit("pyagent_orch.run", soft=1, hard=60, reply=True)
    assert answers
    task = orch.submit("sleep", 50)
    task.wait(timeout=40)
    assert task.status is TaskStatus.FAILED
    assert "Celery's time limit ended it" in str(task.error)
