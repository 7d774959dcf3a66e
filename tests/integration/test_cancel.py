"""Cancel: what waits never runs, what runs is stopped, and its slot is free within two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, RetryPolicy, Settings, Task, TaskCancelledError, TaskStatus
from pyagent_orch import agent as make_agent
from pyagent_orch.embedded.server import PrivateServer
from support.chat_server import ChatServer, hang
from support.fleet import Fleet, until
from support.fleet_agents import async_sleep, echo, sleep
from support.heard import Heard
from support.standing import standing_fleet

POOLS = ("prefork", "threads")
SOON = 2.0 + 1.0
"""Seconds: the promise, and what a busy machine may add."""


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One slot in each pool, so that what comes next shows whether it is free."""
    directory = tmp_path_factory.mktemp("workers")
    with standing_fleet(server, directory, prefork=1, threads=1) as fleet:
        yield fleet


@pytest.fixture
def orch(fleet: Fleet) -> Orchestrator:
    return fleet.orchestrator


def runs(orch: Orchestrator, task: Task) -> bool:
    return orch.status(task.id) is TaskStatus.RUNNING


def assert_cancelled(orch: Orchestrator, task: Task) -> None:
    with pytest.raises(TaskCancelledError, match="cancelled by request"):
        task.result(timeout=5)
    found = orch.get_task(task.id)
    assert (found.status, found.output) == (TaskStatus.CANCELLED, None)
    assert found.completed_at is not None
    told = [event.type for event in orch.events() if event.subject == task.id]
    # Celery's own word for a run that was ended, as its signal has it.
    others = ("task.submitted", "task.started", "task.retried", "task.revoked")
    assert [event for event in told if event not in others] == ["task.cancelled"]


@pytest.mark.parametrize("delay", [0, 1.0])
def test_a_task_that_waits_never_runs(orch: Orchestrator, tmp_path: Path, delay: float) -> None:
    lines, heard = tmp_path / "lines", Heard()
    blocker = orch.submit("sleep", 1.0, queue="threads")
    until(lambda: runs(orch, blocker))
    value = {"path": str(lines)}
    task = orch.submit("append_line", value, queue="threads", delay=delay, callback=heard)
    assert orch.cancel(task.id) is True
    assert orch.cancel(task.id) is False
    assert task.cancel() is False
    assert_cancelled(orch, task)
    assert heard.until(1) == [task]
    assert orch.submit("echo", "x", queue="threads", delay=delay).result(timeout=10) == "x"
    assert not lines.exists()
    assert task.attempts == 0


@pytest.mark.parametrize(
    ("pool", "agent"),
    [("prefork", "sleep"), ("prefork", "async_sleep"), ("threads", "async_sleep")],
)
def test_a_task_that_runs_is_stopped_and_its_slot_takes_the_next(
    orch: Orchestrator, pool: str, agent: str
) -> None:
    task = orch.submit(agent, 60, queue=pool, retry=3)
    until(lambda: runs(orch, task))
    following = orch.submit("echo", "next", queue=pool)
    began = time.monotonic()
    assert task.cancel() is True
    assert following.result(timeout=10) == "next"
    assert time.monotonic() - began < SOON
    assert_cancelled(orch, task)
    assert task.attempts == 1


def test_code_in_a_thread_runs_on_and_its_result_is_refused(orch: Orchestrator) -> None:
    task = orch.submit("sleep", 1.0, queue="threads")
    until(lambda: runs(orch, task))
    assert task.cancel() is True
    assert_cancelled(orch, task)
    assert orch.submit("echo", "next", queue="threads").result(timeout=10) == "next"
    assert_cancelled(orch, task)


@pytest.mark.parametrize("what", ["async agent", "model call"])
def test_embedded_tasks_are_stopped_too(
    embedded: Callable[..., Orchestrator], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with ChatServer(hang()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        orch = embedded(settings=Settings(concurrency=1))
        who: Any = async_sleep if what == "async agent" else make_agent("x", model="openai:any")
        task = orch.submit(who, 60)
        if what == "model call":
            server.wait_for_requests(1)
        until(lambda: runs(orch, task))
        following = orch.submit(echo, "next")
        began = time.monotonic()
        assert task.cancel() is True
        assert following.result(timeout=10) == "next"
        assert time.monotonic() - began < SOON
        if what == "model call":
            # Nothing goes on that would be paid for.
            server.wait_for_abandoned()
    assert_cancelled(orch, task)


def test_an_attempt_that_waits_is_cancelled(orch: Orchestrator) -> None:
    policy = RetryPolicy(max_attempts=3, delay_seconds=60)
    task = orch.submit("fail", "no", queue="threads", retry=policy)
    until(lambda: orch.status(task.id) is TaskStatus.RETRYING)
    assert task.cancel() is True
    assert_cancelled(orch, task)


def test_what_is_final_cannot_be_cancelled(orch: Orchestrator) -> None:
    done, failed = orch.submit("echo", 1, queue="threads"), orch.submit("fail", "", queue="threads")
    orch.wait(done, failed, timeout=10)
    assert done.cancel() is False
    assert orch.cancel(failed.id) is False
    assert (done.status, failed.status) == (TaskStatus.COMPLETED, TaskStatus.FAILED)


@pytest.mark.parametrize("agent", ["sleep", "async_sleep"])
def test_a_task_that_is_cancelled_and_tried_again_runs_to_its_end(
    orch: Orchestrator, agent: str
) -> None:
    task = orch.submit(agent, 1.5, queue="prefork")
    until(lambda: runs(orch, task))
    assert task.cancel() is True
    again = orch.retry(task.id)
    assert again.result(timeout=20) == "slept"
    assert again.attempts == 2


def test_many_are_cancelled_at_once(orch: Orchestrator, tmp_path: Path) -> None:
    running = orch.submit("async_sleep", 60, queue="threads")
    until(lambda: runs(orch, running))
    lines = tmp_path / "lines"
    waiting = [Task("append_line", {"path": str(lines)}, queue="threads") for _ in range(300)]
    orch.submit_many(waiting)
    # The one that runs comes last: its slot would be for those that are not cancelled yet.
    tasks = [*waiting, running]
    assert all(task.cancel() for task in tasks)
    orch.wait(*tasks, timeout=10)
    assert orch.submit("echo", "x", queue="threads").result(timeout=10) == "x"
    assert {task.status for task in tasks} == {TaskStatus.CANCELLED}
    assert not lines.exists()


def test_a_cancel_without_any_worker_holds_when_one_comes(
    server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    fleet = Fleet(server.broker_url, namespace, tmp_path)
    try:
        orch = fleet.orchestrator
        task = orch.submit("sleep", 0)
        assert task.cancel() is True
        kept = orch.submit("echo", "kept")
        fleet.start("threads", 1)
        assert kept.result(timeout=10) == "kept"
        assert_cancelled(orch, task)
    finally:
        fleet.close()


def test_a_cancelled_callable_of_this_process_is_refused(
    embedded: Callable[..., Orchestrator],
) -> None:
    orch = embedded()
    task = orch.submit(sleep, 0.8)
    until(lambda: runs(orch, task))
    task.cancel()
    time.sleep(1.0)
    assert_cancelled(orch, task)
