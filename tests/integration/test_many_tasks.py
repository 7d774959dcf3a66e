"""A thousand tasks from eight threads over three workers: each once, and nothing is left over."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from pyagent_orch import Event, Orchestrator, Task, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.states import TASK_MOVES
from support.fleet import Fleet, until

THREADS, EACH = 8, 125
TOTAL = THREADS * EACH
LEADS_TO = {
    "task.submitted": TaskStatus.PENDING,
    "task.started": TaskStatus.RUNNING,
    "task.retried": TaskStatus.RETRYING,
    "task.completed": TaskStatus.COMPLETED,
    "task.failed": TaskStatus.FAILED,
    "task.cancelled": TaskStatus.CANCELLED,
    "task.released": TaskStatus.PENDING,
    "task.recovered": TaskStatus.PENDING,
}
ALLOWED = (
    r"pyagent:1:{ns}:(task:[^:]+|events|agent:[0-9a-f]+|status:completed|status:failed"
    r"|workers|worker:.+|swept|sweeping|suspects|metrics|layout)|"
    r"{ns}:(celery-task-meta-[^:]+|_kombu\.binding[._].+)"
)
"""Records, indexes, stream, counters, and what living workers need; suspects are forgotten."""


def assert_legal(events: Iterable[Event]) -> None:
    state: dict[str, TaskStatus] = {}
    for event in events:
        if event.noun != "task":
            continue
        after, before = LEADS_TO[event.type], state.get(event.subject)
        if before is None:
            assert event.type == "task.submitted"
        else:
            assert after in TASK_MOVES[before], (event, before)
        state[event.subject] = after
    assert all(status.is_final for status in state.values())


def left_over(server: PrivateServer, orch: Orchestrator) -> list[str]:
    allowed = re.compile(ALLOWED.format(ns=re.escape(orch.settings.namespace)))
    return [key for key in orch._store.client.scan_iter() if not allowed.fullmatch(key)]


def submit_all(orch: Orchestrator, lines: Path, called: Counter[str]) -> list[Task]:
    """Submit from all threads at once: tasks that succeed, that fail first, and that fail."""
    submitted: dict[int, list[Task]] = defaultdict(list)
    inputs = {"append_line": {"path": str(lines)}, "fail_until": {"attempt": 2}, "fail": "no"}

    def submit(thread: int) -> None:
        for number in range(EACH):
            agent = ("append_line", "append_line", "fail_until", "fail")[number % 4]
            submitted[thread].append(
                orch.submit(
                    agent,
                    inputs[agent],
                    priority=number % 10 + 1,
                    retry=2 if agent == "fail_until" else None,
                    callback=lambda task: called.update([task.id]),
                )
            )

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [task for some in submitted.values() for task in some]


def assert_ran_once(orch: Orchestrator, tasks: list[Task], lines: Path) -> None:
    wanted = {"append_line": "attempt 1", "fail_until": "attempt 2", "fail": None}
    assert len({task.id for task in tasks}) == TOTAL
    assert [t for t in tasks if t.output != wanted[t.name]] == []
    statuses = Counter(task.status for task in tasks)
    failing = sum(task.name == "fail" for task in tasks)
    assert statuses == {TaskStatus.COMPLETED: TOTAL - failing, TaskStatus.FAILED: failing}
    assert {status: count for status, count in orch.counts().items() if count} == statuses
    runs = Counter(lines.read_text().split())
    assert set(runs) == {task.id for task in tasks if task.name == "append_line"}
    assert set(runs.values()) == {1}
    # Every worker had its share.
    assert {str(task.worker).partition("-")[0] for task in tasks} == {"w1", "w2", "w3"}


@pytest.mark.slow
def test_a_thousand_tasks_run_once_each_and_leave_nothing_but_records(tmp_path: Path) -> None:
    called: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    with PrivateServer() as server:
        fleet = Fleet(server.broker_url, "many", tmp_path)
        try:
            for pool, slots in (("prefork", 2), ("prefork", 2), ("threads", 4)):
                fleet.start(pool, slots, wait=False)
            orch = fleet.orchestrator
            until(lambda: len(orch.workers()) == 3, 30)
            orch.on("task.*", lambda task: heard.update([task.id]))
            tasks = submit_all(orch, tmp_path / "lines", called)
            orch.wait(*tasks, timeout=90)
            assert_ran_once(orch, tasks, tmp_path / "lines")

            until(lambda: called.total() >= TOTAL)
            assert set(called) == {task.id for task in tasks}
            assert set(called.values()) == {1}

            events = list(orch.events())
            assert_legal(events)
            told = Counter(event.type for event in events)
            assert told["task.submitted"] == TOTAL
            assert told["task.completed"] + told["task.failed"] == TOTAL
            until(lambda: heard.total() == sum(event.noun == "task" for event in events))
            # The sweep takes the last empty index away at one of its next turns.
            until(lambda: left_over(server, orch) == [], timeout=5)
        finally:
            fleet.close()
        # A clean stop takes the workers' own keys along.
        with Orchestrator(redis_url=server.url, namespace="many") as later:
            assert left_over(server, later) == []
            assert later.workers() == {}
            assert list(later._store.client.scan_iter("pyagent:1:many:worker:*")) == []
