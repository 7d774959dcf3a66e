"""How long an attempt may take, in each pool, for code that waits, computes or does not listen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pyagent_orch import Orchestrator, RetryPolicy, Task, TaskStatus, TaskTimeoutError
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import AGENTS, Fleet
from support.standing import standing_fleet

POOLS = ("prefork", "threads")
KINDS = ("sleep", "async_sleep")


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    env = {"PYAGENT_ORCH_AGENTS": f"{AGENTS},support.odd_agents"}
    directory = tmp_path_factory.mktemp("workers")
    with standing_fleet(server, directory, env=env, prefork=4, threads=4) as fleet:
        yield fleet


@pytest.fixture
def orch(fleet: Fleet) -> Orchestrator:
    return fleet.orchestrator


@pytest.fixture(scope="module")
def deaf(fleet: Fleet) -> Task:
    """Submitted first and looked at last: its process is ended only five seconds after its time."""
    return fleet.orchestrator.submit("deaf", 60, queue="prefork", timeout=0.5)


def events(orch: Orchestrator, task: Task) -> list[str]:
    return [event.type for event in orch.events() if event.subject == task.id]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_an_attempt_that_takes_too_long_ends_and_frees_its_slot(
    orch: Orchestrator, deaf: Task, pool: str, kind: str
) -> None:
    began = time.monotonic()
    tasks = [orch.submit(kind, 60, queue=pool, timeout=0.4) for _ in range(8)]
    after = orch.submit("echo", "after", queue=pool, priority=10)
    orch.wait(*tasks, after, timeout=20)
    # Two rounds on four slots, or three since one is held by the deaf one.
    assert time.monotonic() - began < 5
    for task in tasks:
        with pytest.raises(TaskTimeoutError, match=f"Task {task.id} timed out: TaskTimeoutError"):
            task.result()
        assert (task.status, task.attempts) == (TaskStatus.FAILED, 1)
        assert events(orch, task) == ["task.submitted", "task.started", "task.failed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_an_attempt_that_ends_in_time_is_not_touched(
    orch: Orchestrator, pool: str, kind: str
) -> None:
    task = orch.submit(kind, 0.2, queue=pool, timeout=30)
    assert task.result(timeout=20) == "slept"
    assert orch.submit(kind, 0, queue=pool, timeout=86_400 * 365.5).result(timeout=20) == "slept"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_an_attempt_that_ends_as_its_time_runs_out_is_one_or_the_other(
    orch: Orchestrator, pool: str, kind: str
) -> None:
    tasks = [orch.submit(kind, 0.3, queue=pool, timeout=0.29 + n / 1000) for n in range(24)]
    orch.wait(*tasks, timeout=30)
    for task in tasks:
        assert task.attempts == 1
        assert task.completed_at - task.started_at < timedelta(seconds=2)  # type: ignore[operator]
        if task.status is TaskStatus.COMPLETED:
            assert task.output == "slept"
        else:
            assert str(task.error).startswith("TaskTimeoutError")
        assert len(events(orch, task)) == 3


@pytest.mark.parametrize("pool", POOLS)
def test_each_attempt_has_its_own_time(orch: Orchestrator, pool: str) -> None:
    policy = RetryPolicy(max_attempts=2, delay_seconds=0, jitter=0)
    task = orch.submit("async_sleep", 60, queue=pool, timeout=0.3, retry=policy)
    with pytest.raises(TaskTimeoutError):
        task.result(timeout=20)
    assert task.attempts == 2
    once = policy.model_copy(update={"no_retry_on": ("TimeoutError",)})
    task = orch.submit("async_sleep", 60, queue=pool, timeout=0.3, retry=once)
    assert task.wait(timeout=20).attempts == 1


def test_waiting_in_the_queue_is_not_counted(orch: Orchestrator) -> None:
    tasks = [orch.submit("sleep", 0.4, queue="threads", timeout=1.5) for _ in range(20)]
    orch.wait(*tasks, timeout=20)
    assert {task.status for task in tasks} == {TaskStatus.COMPLETED}


def test_code_in_a_thread_that_does_not_listen_is_left_behind(orch: Orchestrator) -> None:
    began = time.monotonic()
    task = orch.submit("deaf", 3, queue="threads", timeout=0.3)
    with pytest.raises(TaskTimeoutError):
        task.result(timeout=20)
    assert time.monotonic() - began < 2.5
    assert task.status is TaskStatus.FAILED


def test_a_process_that_does_not_listen_is_ended_by_the_hard_limit(
    orch: Orchestrator, deaf: Task
) -> None:
    with pytest.raises(TaskTimeoutError, match="ended after"):
        deaf.result(timeout=20)
    assert deaf.attempts == 1
    assert events(orch, deaf) == ["task.submitted", "task.started", "task.failed"]
    assert deaf.completed_at is not None
    assert deaf.started_at is not None
    # 0.5 s, five more for code that wants to clean up, and two heartbeats.
    assert 5.5 <= (deaf.completed_at - deaf.started_at).total_seconds() < 12
    tasks = [orch.submit("echo", n, queue="prefork") for n in range(8)]
    assert [task.result(timeout=10) for task in tasks] == list(range(8))
