"""Attempts: how many, how soon, after which errors, and what counts as one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import (
    Event,
    Orchestrator,
    RetryPolicy,
    Task,
    TaskFailedError,
    TaskStatus,
    agent,
)
from pyagent_orch.embedded.server import PrivateServer
from support.chat_server import ChatServer, answer, failure, rate_limited
from support.fleet import AGENTS, Fleet, until
from support.standing import standing_fleet

POOLS = ("prefork", "threads")
FAST = RetryPolicy(max_attempts=3, delay_seconds=0.1, jitter=0)


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    env = {
        "PYAGENT_ORCH_AGENTS": f"{AGENTS},support.odd_agents",
        "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.2",
    }
    directory = tmp_path_factory.mktemp("workers")
    with standing_fleet(server, directory, env=env, prefork=2, threads=4) as fleet:
        yield fleet


@pytest.fixture
def orch(fleet: Fleet) -> Orchestrator:
    return fleet.orchestrator


def told(orch: Orchestrator, task: Task, event_type: str) -> list[Event]:
    return [e for e in orch.events() if (e.subject, e.type) == (task.id, event_type)]


def detail(event: Event, name: str) -> Any:
    assert isinstance(event.data, dict)
    return event.data[name]


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_is_tried_again_until_it_succeeds(orch: Orchestrator, pool: str) -> None:
    task = orch.submit("fail_until", {"attempt": 3}, queue=pool, retry=FAST)
    assert task.result(timeout=20) == "attempt 3"
    assert (task.attempts, task.error) == (3, None)
    retried = told(orch, task, "task.retried")
    assert [detail(event, "attempt") for event in retried] == [1, 2]
    # 0.1 s doubled each time, and nothing random.
    assert [detail(event, "delay_ms") for event in retried] == [100, 200]
    starts = [event.at for event in told(orch, task, "task.started")]
    for event, start in zip(retried, starts[1:], strict=True):
        assert (start - event.at).total_seconds() >= detail(event, "delay_ms") / 1000


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_that_never_succeeds_fails_with_its_last_error(
    orch: Orchestrator, pool: str
) -> None:
    task = orch.submit("fail_until", {"attempt": 9}, queue=pool, retry=FAST)
    with pytest.raises(TaskFailedError, match="ConnectionError: attempt 3 fails"):
        task.result(timeout=20)
    assert task.attempts == 3
    assert len(told(orch, task, "task.failed")) == 1


def test_without_a_policy_there_is_one_attempt(orch: Orchestrator) -> None:
    task = orch.submit("fail", "no", queue="threads")
    assert task.wait(timeout=20).attempts == 1


def test_the_random_share_of_a_delay_keeps_its_bounds(orch: Orchestrator) -> None:
    policy = RetryPolicy(max_attempts=2, delay_seconds=0.4, jitter=0.5)
    tasks = [orch.submit("fail", "no", queue="threads", retry=policy) for _ in range(12)]
    orch.wait(*tasks, timeout=20)
    delays = [detail(told(orch, task, "task.retried")[0], "delay_ms") for task in tasks]
    assert all(200 <= delay <= 400 for delay in delays)
    assert len(set(delays)) > 4


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        ({"retry_on": ("ConnectionError",)}, 3),
        ({"retry_on": ("OSError",)}, 3),
        ({"retry_on": ("ValueError", "KeyError")}, 1),
        ({"no_retry_on": ("OSError",)}, 1),
        ({"no_retry_on": ("ValueError",)}, 3),
    ],
)
def test_only_the_errors_that_the_policy_names_are_tried_again(
    orch: Orchestrator, policy: dict[str, Any], attempts: int
) -> None:
    made = FAST.model_copy(update=policy)
    task = orch.submit("fail_until", {"attempt": 9}, queue="threads", retry=made)
    assert task.wait(timeout=20).attempts == attempts


def test_a_waiting_attempt_is_seen_and_can_be_cancelled(orch: Orchestrator) -> None:
    slow = RetryPolicy(max_attempts=5, delay_seconds=60, jitter=0)
    task = orch.submit("fail", "the first time", queue="threads", retry=slow)
    until(lambda: orch.status(task.id) is TaskStatus.RETRYING)
    seen = orch.get_task(task.id)
    assert seen.error == "ValueError: the first time"
    assert task.cancel() is True
    assert orch.status(task.id) is TaskStatus.CANCELLED
    assert "delayed" not in {key.rpartition(":")[2] for key in orch._store.client.scan_iter(
        f"{orch._store.keys.prefix}delayed"
    )}  # fmt: skip


def test_a_task_that_failed_is_tried_again_by_hand(orch: Orchestrator) -> None:
    task = orch.submit("fail_until", {"attempt": 2}, queue="threads")
    assert task.wait(timeout=20).status is TaskStatus.FAILED
    again = orch.retry(task.id)
    assert again.id == task.id
    assert again.result(timeout=20) == "attempt 2"
    assert (again.attempts, again.error) == (2, None)
    assert orch.get_task(task.id).output == "attempt 2"


def test_many_delayed_tasks_that_are_due_at_once_do_not_wait_for_a_heartbeat_each(
    embedded: Any,
) -> None:
    orch = embedded()
    tasks = orch.submit_many([Task(lambda x: x, n, delay=0.5) for n in range(2_500)])
    client, delayed = orch._store.client, f"{orch._store.keys.prefix}delayed"
    # One heartbeat, of a second, pushes 500.
    until(lambda: client.zcard(delayed) < len(tasks))
    until(lambda: client.zcard(delayed) == 0, timeout=2.5)
    orch.wait(*tasks[:100], timeout=30)
    assert all(t.started_at - t.created_at >= timedelta(seconds=0.5) for t in tasks[:100])


# --- rate limits -------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_being_told_to_wait_uses_up_no_attempt(
    orch: Orchestrator, pool: str, tmp_path: Path
) -> None:
    value = {"directory": str(tmp_path), "times": 3, "after": 0.1}
    task = orch.submit("too_fast", value, queue=pool)
    assert task.result(timeout=20) == "start 4, attempt 1"
    assert task.attempts == 1
    retried = told(orch, task, "task.retried")
    assert [detail(event, "delay_ms") for event in retried] == [100] * 3


def test_being_told_to_wait_too_often_is_a_failure(orch: Orchestrator, tmp_path: Path) -> None:
    policy = RetryPolicy(max_attempts=1, max_rate_limit_waits=2)
    value = {"directory": str(tmp_path), "times": 99, "after": 0.01}
    task = orch.submit("too_fast", value, queue="threads", retry=policy)
    with pytest.raises(TaskFailedError, match=r"RateLimitedError: .*slow down"):
        task.result(timeout=20)
    assert (tmp_path / task.id).stat().st_size == 3


def test_a_providers_retry_after_is_obeyed(embedded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        server.script(rate_limited("1"), failure(500), answer("done"))
        orch = embedded()
        policy = RetryPolicy(max_attempts=2, delay_seconds=0.1, jitter=0)
        task = orch.submit(agent("You answer", model="openai:any"), "x", retry=policy)
        assert task.result(timeout=30) == "done"
        asked = [request.at for request in server.requests]
    # The 429 did not count, the 500 did.
    assert task.attempts == 2
    delays = [detail(event, "delay_ms") for event in told(orch, task, "task.retried")]
    assert delays == [1000, 100]
    assert asked[1] - asked[0] >= 1.0


# --- agents that misbehave --------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("exits", "SystemExit: an agent that wants to leave"),
        ("exits_async", "an agent that wants to leave"),
        ("interrupts", "KeyboardInterrupt"),
        ("cancels_itself", "cancelled itself"),
        ("half_character", "surrogates not allowed"),
        ("not_json", "object"),
        ("not_a_number", "JSON"),
        ("unprintable", "UnprintableError"),
        ("talkative", "ValueError: long long"),
        ("endless", "RecursionError"),
    ],
)
def test_an_agent_that_misbehaves_fails_once_and_takes_nobody_along(
    orch: Orchestrator, pool: str, name: str, error: str
) -> None:
    task = orch.submit(name, "x", queue=pool)
    with pytest.raises(TaskFailedError) as caught:
        task.result(timeout=20)
    assert error in str(caught.value)
    assert len(str(caught.value)) < 6_000
    assert task.attempts == 1
    assert told(orch, task, "task.recovered") == []
    assert orch.submit("async_sleep", 0, queue=pool).result(timeout=10) == "slept"


@pytest.mark.parametrize("pool", POOLS)
def test_a_large_output_is_recorded_whole(orch: Orchestrator, pool: str) -> None:
    assert len(orch.submit("huge", 8_000_000, queue=pool).result(timeout=20)) == 8_000_000


def test_a_process_that_is_told_to_end_is_no_failure_of_its_agent(
    orch: Orchestrator, fleet: Fleet, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    value = {"path": str(lines), "sleep": 1.5}
    task = orch.submit("append_line", value, queue="prefork")
    until(lines.exists)
    parent = fleet.workers[POOLS.index("prefork")].pid
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        os.kill(int(child), signal.SIGTERM)
    assert task.result(timeout=20) == "attempt 2"
    assert [e.type for e in orch.events() if e.subject == task.id][1:-1] == [
        "task.started", "task.recovered", "task.started",
    ]  # fmt: skip
