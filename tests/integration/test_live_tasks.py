"""What a live task shows while it runs."""

from __future__ import annotations

import threading

from pyagent_orch import Task, TaskStatus
from support.fleet import Fleet, until


def reads(fleet: Fleet) -> int:
    """How many records anybody has read so far."""
    calls = fleet.orchestrator._store.client.info("commandstats")
    return calls.get("cmdstat_hgetall", {"calls": 0})["calls"]


def test_a_followed_task_shows_its_start_without_a_look_at_its_record(fleet: Fleet) -> None:
    fleet.start("threads", 1)
    fleet.orchestrator.on("warm.up", lambda _: None)
    before = reads(fleet)
    task = fleet.orchestrator.submit("sleep", 1.0)
    until(lambda: task.status is TaskStatus.RUNNING)
    shown = task.record
    assert shown is not None
    assert reads(fleet) == before
    recorded = fleet.orchestrator.get_task(task.id).record
    assert recorded is not None
    assert recorded.status is TaskStatus.RUNNING
    assert (shown.attempts, shown.worker) == (recorded.attempts, recorded.worker)
    assert shown.started_at is not None
    assert recorded.started_at is not None
    assert abs((shown.started_at - recorded.started_at).total_seconds()) < 0.01
    assert task.result(timeout=20) == "slept"


def test_a_followed_task_shows_its_second_attempt_with_the_error_of_the_first(
    fleet: Fleet,
) -> None:
    fleet.start("threads", 1)
    seen: list[tuple[TaskStatus, int, bool]] = []
    done = threading.Event()

    def note(task: Task) -> None:
        record = task.record
        assert record is not None
        seen.append((record.status, record.attempts, record.error is not None))

    fleet.orchestrator.on("task.retried", note)
    task = fleet.orchestrator.submit(
        "fail_until", {"attempt": 2}, retry=2, callback=lambda _: done.set()
    )
    assert done.wait(20)
    assert seen == [(TaskStatus.RETRYING, 1, True)]
    assert (task.output, task.attempts, task.error) == ("attempt 2", 2, None)
