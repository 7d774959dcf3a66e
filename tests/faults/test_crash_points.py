"""A process dies between any two steps of submit, claim and finish: never two outputs, never none.

Real SIGKILLs at fault points (see engine/faults.py), on real workers.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Task, TaskNotFoundError, TaskStatus
from pyagent_orch.engine.dispatch import BATCH
from support import fleet_agents
from support.fault_report import Report
from support.fleet import Fleet, until
from support.load import Account
from support.rig import FAST as FAST_RIG
from support.rig import Rig

pytestmark = pytest.mark.faults
LONG = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(600)]
FAST = {
    # Low, so that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "1.5",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3",
}


ENDS = {"task.completed", "task.failed", "task.cancelled", "task.skipped"}


def finals(orchestrator: Orchestrator, task_id: str) -> Counter[str]:
    """How often the stream tells each end of a task."""
    return Counter(e.type for e in orchestrator.events() if e.subject == task_id and e.type in ENDS)


POINTS = ("before_claim", "after_claim", "before_finish", "after_finish")
OFTEN = {("before_finish", "prefork"), ("after_claim", "threads")}
"""Part of `make test`, too."""


@pytest.mark.parametrize(
    ("point", "pool"),
    [
        pytest.param(point, pool, marks=() if (point, pool) in OFTEN else LONG)
        for point in POINTS
        for pool in ("prefork", "threads", "gevent")
    ],
)
def test_a_worker_that_dies_at_a_step_leaves_one_output(
    fleet: Fleet, tmp_path: Path, pool: str, point: str
) -> None:
    flag, runs = tmp_path / "flag", tmp_path / "runs"
    flag.touch()
    called: list[str] = []
    fleet.start(pool, 1, env={**FAST, "PYAGENT_ORCH_FAULT": f"{point}:{flag}"})
    task = fleet.orchestrator.submit(
        fleet_agents.append_line, {"path": str(runs)}, callback=lambda task: called.append(task.id)
    )
    # Threads die with their worker; a pool process is replaced by its parent.
    if pool != "prefork":
        fleet.workers[0].process.wait(20)
        fleet.start(pool, 1, env=FAST)
    answer = task.result(timeout=30)
    # After its finish a run is over before it has got to the fault.
    until(lambda: not flag.exists())
    assert answer == fleet.orchestrator.get_task(task.id).output
    assert finals(fleet.orchestrator, task.id) == {"task.completed": 1}
    assert called == [task.id]
    # Only a run that had begun and was not recorded may be paid for a second time.
    assert len(runs.read_text().splitlines()) == (2 if point == "before_finish" else 1)


def test_a_message_that_comes_again_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """Copies of a message, before, while and after the task runs."""
    import redis

    runs = tmp_path / "runs"
    task = fleet.orchestrator.submit(fleet_agents.append_line, {"path": str(runs), "sleep": 0.5})
    with redis.Redis.from_url(
        fleet.url.replace("redis+socket://", "unix://").partition("?")[0]
    ) as raw:
        keys = raw.keys(f"{fleet.namespace}:agents*")
        assert len(keys) == 1
        message = raw.lindex(keys[0], 0)
        raw.lpush(keys[0], message, message)
        fleet.start("threads", 4)
        first = task.result(timeout=20)
        raw.lpush(keys[0], message)
        again = fleet.orchestrator.submit(fleet_agents.echo, "behind the copy")
        again.wait(timeout=10)
    assert fleet.orchestrator.get_task(task.id).output == first
    assert runs.read_text().splitlines() == [task.id]
    assert finals(fleet.orchestrator, task.id) == {"task.completed": 1}


SUBMITTER = """
import sys
from pyagent_orch import IllegalMoveError, Orchestrator, Task, Workflow
from support import fleet_agents
url, namespace, path, kind, name, count = sys.argv[1:]
tasks = [
    Task(fleet_agents.append_line, {"path": path}, id=f"{name}-{n}", name=f"no {n}")
    for n in range(int(count))
]
orchestrator = Orchestrator(redis_url=url, namespace=namespace)
if kind == "task":
    orchestrator.submit(*tasks)
elif kind == "many":
    orchestrator.submit_many(tasks)
else:
    try:
        orchestrator.submit_workflow(Workflow("w", tasks, {"no 2": ["no 0", "no 1"]}, id=name))
    except IllegalMoveError:
        print("it has ended already")
print("returned")
"""
SUBMITS = {
    # How many tasks; "many" takes two round trips.
    "task": 1,
    "workflow": 3,
    "many": BATCH + 10,
}
NOUNS = {"task": "a task", "workflow": "a workflow", "many": "many tasks"}


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        pytest.param("task", "after_submit", id="once"),
        *(
            pytest.param(kind, point, marks=LONG)
            for kind in SUBMITS
            for point in ("before_submit", "after_submit")
        ),
    ],
)
def test_a_client_that_dies_in_submit_leaves_a_whole_task_or_none(  # noqa: PLR0917 - fixtures
    fleet: Fleet, tmp_path: Path, report: Report, faults: int, kind: str, point: str
) -> None:
    runs, flag, orchestrator = tmp_path / "runs", tmp_path / "flag", fleet.orchestrator
    runs.touch()
    fleet.start("threads", 4)
    env = fleet.environment({"PYAGENT_ORCH_FAULT": f"{point}:{flag}"})
    ids: list[str] = []
    for number in range(faults):
        count = SUBMITS[kind]
        ids += (new := [f"the-{number}-{n}" for n in range(count)])
        command = [
            sys.executable, "-c", SUBMITTER, fleet.url, fleet.namespace, str(runs),
            kind, f"the-{number}", str(count),
        ]  # fmt: skip
        flag.touch()
        died = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert died.returncode == -signal.SIGKILL, died.stderr
        there = [recorded(orchestrator, task_id) for task_id in new]
        # Of a workflow all, of many the first round trip.
        first = 0 if point == "before_submit" else min(count, BATCH)
        assert there == [True] * first + [False] * (count - first)
        # The client comes back and submits the very same again.
        repeated = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert repeated.returncode == 0, repeated.stderr
    tasks = [orchestrator.get_task(task_id) for task_id in ids]
    orchestrator.wait(*tasks, timeout=60)
    starts = Counter(runs.read_text().split())
    told = Counter(event.subject for event in orchestrator.events() if event.type in ENDS)
    account = Account(
        tasks=len(ids),
        lost=[task.id for task in tasks if task.status is not TaskStatus.COMPLETED],
        changed=[task.id for task in tasks if task.output != "attempt 1"],
        told_twice=[task_id for task_id, count in told.items() if count > 1],
        untold=[],
        ended_twice=[i for i in ids if starts[i] > 1],
        started_again=[],
    )
    report.add(f"client: {point.replace('_', ' ')} of {NOUNS[kind]}", faults, account)
    assert not account.ended_twice
    account.assert_whole()
    assert starts.total() == len(ids)


def recorded(orchestrator: Orchestrator, task_id: str) -> bool:
    try:
        orchestrator.status(task_id)
    except TaskNotFoundError:
        return False
    return True


@pytest.mark.parametrize("point", [pytest.param(point, marks=LONG) for point in POINTS])
def test_workers_that_die_at_a_step_again_and_again_cost_no_task(
    rig: Callable[..., Rig], tmp_path: Path, report: Report, faults: int, point: str
) -> None:
    """Half of the workers die as a whole, of the others a pool process."""
    flag = tmp_path / "flag"
    for pool in ("threads", "prefork"):
        deadly = {**FAST_RIG, "PYAGENT_ORCH_FAULT": f"{point}:{flag}"}
        # One at a time, so that whoever dies takes no other task along.
        it = rig(pool=pool, workers=2, concurrency=1, env=deadly)
        it.begin(seconds=(0.05, 0.3), pause=0.15)
        for _ in range(-(-faults // 2)):
            flag.touch()
            it.load.fault()
            until(lambda: not flag.exists(), 20)
            it.faults += 1
            if pool == "threads":
                until(lambda it=it: len(it.living) < it.count, 10)
                it.start()
            else:
                it.recover()
        account = it.settle()
        report.add(f"worker: {point.replace('_', ' ')}", it.faults, account)
        # What was recorded, or had not begun, is not paid for again.
        assert point == "before_finish" or not account.started_again


@pytest.mark.long
def test_a_frozen_worker_that_comes_back_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    frozen = fleet.start("threads", 1, env=FAST)
    task = fleet.orchestrator.submit(fleet_agents.append_line, {"path": str(runs), "sleep": 1.0})
    until(lambda: task.status is TaskStatus.RUNNING and runs.exists())
    frozen.kill(signal.SIGSTOP)
    fleet.start("threads", 1, env=FAST)
    answer = task.result(timeout=30)
    frozen.kill(signal.SIGCONT)
    # The frozen run now ends, and its result is refused.
    until(lambda: "dropped" in frozen.text() or "succeeded" in frozen.text(), 20)
    assert fleet.orchestrator.get_task(task.id).output == answer == "attempt 2"
    assert finals(fleet.orchestrator, task.id) == {"task.completed": 1}


@pytest.mark.long
def test_many_tasks_survive_workers_that_are_killed_while_they_take_them(fleet: Fleet) -> None:
    """The stock transport loses what it has popped and not noted; here the sweep finds it."""
    fleet.start("threads", 4, env=FAST)
    tasks = [Task(fleet_agents.echo, number) for number in range(600)]
    fleet.orchestrator.submit_many(tasks)
    for _ in range(3):
        victim = fleet.workers[-1]
        tasks[200].status  # noqa: B018 - a round trip, so that the kill comes while it works
        victim.kill_group()
        fleet.start("threads", 4, env=FAST)
    fleet.orchestrator.wait(*tasks, timeout=60)
    assert [task.output for task in tasks] == list(range(600))
    told = Counter(
        event.subject for event in fleet.orchestrator.events() if event.type == "task.completed"
    )
    assert set(told.values()) == {1}
