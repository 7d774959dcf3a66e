"""Joins under SIGKILL and redelivery: the body has each dependency's recorded output, once.

Real workers, killed while a part of the header or while the body runs; the parts
answer differently in every run, as models do.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Task, Workflow, WorkflowStatus
from support.fleet import Fleet, Worker, until
from support.workflow_agents import in_new_words, join_noted

pytestmark = pytest.mark.faults
FAST = {
    # Low, so that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "1.2",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.2",
    "PYAGENT_ORCH_AGENTS": "support.workflow_agents",
}
FAULT = "PYAGENT_ORCH_FAULT"
PARTS = ("left", "middle", "right")


class Join:
    """A workflow of three parts and the join of them, whose runs are in a file."""

    def __init__(self, directory: Path, **options: dict[str, str]) -> None:
        self.log = directory / "runs"
        given = {name: {"log": str(self.log), **options.get(name, {})} for name in (*PARTS, "join")}
        parts = [Task(in_new_words, given[name], name=name) for name in PARTS]
        join = Task(join_noted, given["join"], name="join")
        self.workflow = Workflow("join", [*parts, join], {"join": list(PARTS)})
        self.parts, self.join = parts, join

    def runs(self) -> Counter[str]:
        """How often each task's agent was called."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(line.partition(" ")[0] for line in lines)

    def answers(self, name: str) -> list[str]:
        """What a task answered, run by run."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [answer for task, answer in lines if task == name]

    def check(self, orchestrator: Orchestrator) -> None:
        """Everything is recorded once, and the join had just what is recorded."""
        assert self.workflow.wait(40).status is WorkflowStatus.COMPLETED
        outputs = self.workflow.outputs
        assert outputs["join"] == {name: outputs[name] for name in PARTS}
        for name in PARTS:
            assert outputs[name] in self.answers(name)
        ids = {task.id: task.name for task in self.workflow.tasks} | {self.workflow.id: "whole"}
        ends = Counter(
            ids[event.subject]
            for event in orchestrator.events()
            if event.subject in ids and event.type.endswith(".completed")
        )
        assert ends == dict.fromkeys((*PARTS, "join", "whole"), 1)


def worker_of(fleet: Fleet, task: Task) -> Worker:
    name = until(lambda: fleet.orchestrator.get_task(task.id).worker)
    return next(worker for worker in fleet.workers if name.startswith(worker.name))


@pytest.mark.parametrize(
    ("pool", "killed"),
    [("prefork", "middle"), pytest.param("threads", "join", marks=pytest.mark.long)],
)
def test_a_worker_is_killed_while_a_part_or_the_body_runs(
    fleet: Fleet, tmp_path: Path, pool: str, killed: str
) -> None:
    came = tmp_path / "came"
    # It waits in its first run for a file that nobody makes.
    join = Join(tmp_path, **{killed: {"touch": str(came), "until": str(tmp_path / "never")}})
    for _ in range(2):
        fleet.start(pool, 2, env=FAST, wait=False)
    until(lambda: len(fleet.orchestrator.workers()) == 2, 30)
    fleet.orchestrator.submit_workflow(join.workflow)
    until(came.exists, 20)
    task = next(task for task in join.workflow.tasks if task.name == killed)
    others = [part for part in join.parts if part is not task]
    fleet.orchestrator.wait(*others, timeout=10)
    worker_of(fleet, task).kill_group()
    join.check(fleet.orchestrator)
    # Only the one that was killed may be paid for again.
    assert join.runs() == {**dict.fromkeys((*PARTS, "join"), 1), killed: 2}
    assert fleet.orchestrator.get_task(task.id).attempts == 2


@pytest.mark.parametrize(
    ("where", "point"),
    [
        ("header", "after_finish"),
        ("body", "before_finish"),
        *(
            pytest.param(where, point, marks=pytest.mark.long)
            for where, point in (
                ("header", "after_claim"),
                ("header", "before_finish"),
                ("body", "before_claim"),
                ("body", "after_finish"),
            )
        ),
    ],
)
def test_a_worker_dies_at_a_step_of_a_part_or_of_the_body(
    fleet: Fleet, tmp_path: Path, where: str, point: str
) -> None:
    flag = tmp_path / "flag"
    if where == "header":
        flag.touch()
        join = Join(tmp_path)
    elif point == "before_claim":
        # The last part has been claimed; the next claim is the body's.
        join = Join(tmp_path, right={"touch": str(flag)})
    else:
        join = Join(tmp_path, join={"touch": str(flag)})
    # Whichever of them comes to the step with the flag there dies, and takes the flag along.
    workers = [
        fleet.start("threads", 1, env={**FAST, FAULT: f"{point}:{flag}"}, wait=False)
        for _ in range(2)
    ]
    fleet.orchestrator.submit_workflow(join.workflow)
    join.check(fleet.orchestrator)
    dead = until(lambda: [w for w in workers if w.process.poll() == -signal.SIGKILL])
    assert len(dead) == 1
    # Only a run that was not recorded is paid for again.
    again = join.runs() - Counter((*PARTS, "join"))
    assert again.total() == (1 if point == "before_finish" else 0)
    assert ("join" in again) == ((where, point) == ("body", "before_finish"))


@pytest.mark.long
def test_a_part_that_answers_again_in_other_words_does_not_move_the_join(
    fleet: Fleet, tmp_path: Path
) -> None:
    came, thaw = tmp_path / "came", tmp_path / "thaw"
    join = Join(tmp_path, middle={"touch": str(came), "until": str(thaw)})
    frozen = fleet.start("threads", 4, env=FAST)
    fleet.orchestrator.submit_workflow(join.workflow)
    until(came.exists, 20)
    frozen.kill(signal.SIGSTOP)
    fleet.start("threads", 4, env=FAST)
    join.check(fleet.orchestrator)
    first, second = join.answers("middle")
    assert join.workflow.outputs["middle"] == second
    # Now the first run answers too: late, and in other words.
    thaw.touch()
    frozen.kill(signal.SIGCONT)
    middle = join.parts[1].id
    until(lambda: f"Task middle[{middle}] succeeded" in frozen.text(), 20)
    join.check(fleet.orchestrator)
    assert fleet.orchestrator.get_task(middle).output == second != first
    assert join.runs() == {"left": 1, "middle": 2, "right": 1, "join": 1}


def test_copies_of_every_message_start_nothing_twice(fleet: Fleet, tmp_path: Path) -> None:
    import redis

    join = Join(tmp_path)
    fleet.orchestrator.submit_workflow(join.workflow)
    url = fleet.url.replace("redis+socket://", "unix://").partition("?")[0]
    with redis.Redis.from_url(url) as raw:
        (queue,) = raw.keys(f"{fleet.namespace}:agents*")
        messages = raw.lrange(queue, 0, -1)
        assert len(messages) == 3
        # The join's own message too, long before it may run.
        early = messages[0].replace(join.parts[-1].id.encode(), join.join.id.encode())
        raw.lpush(queue, early, *messages, *messages, early)
        fleet.start("threads", 4, env=FAST)
        join.check(fleet.orchestrator)
        raw.lpush(queue, early, *messages)
        last = fleet.orchestrator.submit(in_new_words, {"log": str(tmp_path / "last")})
        last.wait(10)
    join.check(fleet.orchestrator)
    assert join.runs() == dict.fromkeys((*PARTS, "join"), 1)
