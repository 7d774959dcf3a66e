"""Priorities hold when the queue is long: 1 is the highest, ten levels, first come first served."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Task, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet, until
from support.standing import standing_fleet

POOLS = ("prefork", "threads")


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("workers")
    with standing_fleet(server, directory, prefork=1, threads=1) as fleet:
        yield fleet


class Line:
    """Tasks that note the order in which they run, on one slot that is busy until all are there."""

    def __init__(self, orch: Orchestrator, pool: str, path: Path) -> None:
        self.orch, self.pool, self.path = orch, pool, path
        blocker = orch.submit("sleep", 1.0, queue=pool)
        until(lambda: orch.status(blocker.id) is TaskStatus.RUNNING)

    def task(self, name: str, priority: int) -> Task:
        value = {"path": str(self.path), "line": name}
        return Task("append_line", value, queue=self.pool, priority=priority)

    def ran(self, tasks: list[Task]) -> list[str]:
        self.orch.wait(*tasks, timeout=30)
        return self.path.read_text().split()


@pytest.fixture(params=POOLS)
def line(fleet: Fleet, request: pytest.FixtureRequest, tmp_path: Path) -> Line:
    return Line(fleet.orchestrator, request.param, tmp_path / "lines")


def test_an_urgent_task_runs_next_however_long_the_queue_is(line: Line) -> None:
    low = line.orch.submit_many([line.task(f"low-{n}", 10) for n in range(200)])
    urgent = line.orch.submit(line.task("urgent", 1))
    order = line.ran([*low, urgent])
    assert order[0] == "urgent"
    assert order[1:] == [f"low-{n}" for n in range(200)]


def test_an_urgent_task_overtakes_while_the_queue_is_worked_off(line: Line) -> None:
    low = line.orch.submit_many([line.task(f"low-{n}", 6) for n in range(100)])
    until(lambda: line.path.exists() and len(line.path.read_text().split()) >= 5)
    urgent = line.orch.submit(line.task("urgent", 5))
    urgent.wait(timeout=10)
    # What ran by then, and what was in the slot; far from all.
    assert len(line.path.read_text().split()) < 60
    line.ran(low)


def test_all_ten_levels_are_kept_and_each_is_first_in_first_out(line: Line) -> None:
    wanted = [(priority, n) for n in range(5) for priority in range(1, 11)]
    random.Random(7).shuffle(wanted)
    tasks = [line.orch.submit(line.task(f"{p}-{place}", p)) for place, (p, _) in enumerate(wanted)]
    order = [tuple(map(int, name.split("-"))) for name in line.ran(tasks)]
    assert order == sorted((p, place) for place, (p, _) in enumerate(wanted))


def test_a_task_without_a_priority_is_in_the_middle(line: Line) -> None:
    value = {"path": str(line.path), "line": "default"}
    tasks = [
        line.orch.submit(line.task("lower", 6)),
        line.orch.submit("append_line", value, queue=line.pool),
        line.orch.submit(line.task("higher", 4)),
    ]
    assert line.ran(tasks) == ["higher", "default", "lower"]


def test_a_task_that_is_tried_again_keeps_its_priority(line: Line) -> None:
    failed = line.orch.submit("fail_until", {"attempt": 2}, queue=line.pool, priority=1)
    failed.wait(timeout=10)
    blocker = line.orch.submit("sleep", 0.5, queue=line.pool)
    until(lambda: line.orch.status(blocker.id) is TaskStatus.RUNNING)
    low = line.orch.submit_many([line.task(f"low-{n}", 2) for n in range(20)])
    again = line.orch.retry(failed.id)
    assert again.result(timeout=10) == "attempt 2"
    assert again.priority == 1
    line.ran(low)
    assert again.completed_at is not None
    assert all(again.completed_at <= task.started_at for task in low)  # type: ignore[operator]
