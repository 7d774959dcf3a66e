"""A process dies between any two steps of submit, claim and finish: never two outputs, never none.

Real SIGKILLs at fault points (see engine/faults.py), on real workers.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Task, TaskNotFoundError, TaskStatus
from support import fleet_agents
from support.fleet import Fleet

FAST = {
    # Low, so that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "1.5",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3",
}


def finals(orchestrator: Orchestrator, task_id: str) -> Counter[str]:
    """How often the stream tells each end of a task."""
    ends = {"task.completed", "task.failed", "task.cancelled", "task.skipped"}
    return Counter(e.type for e in orchestrator.events() if e.subject == task_id and e.type in ends)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("point", ["before_claim", "after_claim", "before_finish", "after_finish"])
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
    if pool == "threads":
        fleet.workers[0].process.wait(20)
        fleet.start("threads", 1, env=FAST)
    answer = task.result(timeout=30)
    assert not flag.exists(), "the fault never happened"
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
from pyagent_orch import Orchestrator, Task
from support import fleet_agents
url, namespace, path = sys.argv[1:]
orchestrator = Orchestrator(redis_url=url, namespace=namespace)
orchestrator.submit(Task(fleet_agents.append_line, {"path": path}, id="the-task"))
print("returned")
"""


@pytest.mark.parametrize("point", ["before_submit", "after_submit"])
def test_a_client_that_dies_in_submit_leaves_a_whole_task_or_none(
    fleet: Fleet, tmp_path: Path, point: str
) -> None:
    flag, runs = tmp_path / "flag", tmp_path / "runs"
    flag.touch()
    fleet.start("threads", 2)
    command = [sys.executable, "-c", SUBMITTER, fleet.url, fleet.namespace, str(runs)]
    env = fleet.environment({"PYAGENT_ORCH_FAULT": f"{point}:{flag}"})
    died = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    if point == "before_submit":
        with pytest.raises(TaskNotFoundError):
            fleet.orchestrator.get_task("the-task")
    else:
        fleet.orchestrator.get_task("the-task").wait(timeout=20)
    # The client comes back and submits the very same task again.
    repeated = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert repeated.returncode == 0, repeated.stderr
    task = fleet.orchestrator.get_task("the-task").wait(timeout=20)
    assert task.status is TaskStatus.COMPLETED
    assert runs.read_text().splitlines() == ["the-task"]


def test_a_frozen_worker_that_comes_back_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    frozen = fleet.start("threads", 1, env=FAST)
    task = fleet.orchestrator.submit(fleet_agents.append_line, {"path": str(runs), "sleep": 1.0})
    from support.fleet import until

    until(lambda: task.status is TaskStatus.RUNNING and runs.exists())
    frozen.kill(signal.SIGSTOP)
    fleet.start("threads", 1, env=FAST)
    answer = task.result(timeout=30)
    frozen.kill(signal.SIGCONT)
    # The frozen run now ends, and its result is refused.
    until(lambda: "dropped" in frozen.text() or "succeeded" in frozen.text(), 20)
    assert fleet.orchestrator.get_task(task.id).output == answer == "attempt 2"
    assert finals(fleet.orchestrator, task.id) == {"task.completed": 1}


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
