"""How workflows end and go on: failures, retries, reruns, cancels, deadlines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pyagent_orch import (
    IllegalMoveError,
    Orchestrator,
    Settings,
    Task,
    TaskCancelledError,
    TaskNotFoundError,
    TaskSkippedError,
    TaskStatus,
    Workflow,
    WorkflowCancelledError,
    WorkflowFailedError,
    WorkflowStatus,
)
from pyagent_orch.store.keys import Keys
from support.rehearsal import Gate, Rehearsal, fails

FAST = Settings(heartbeat_seconds=0.1)


@pytest.fixture(scope="module")
def orch() -> Iterator[Orchestrator]:
    with Orchestrator(settings=FAST) as orchestrator:
        yield orchestrator


@pytest.fixture
def cast() -> Rehearsal:
    return Rehearsal()


class Luck:
    """An agent that fails until it has luck."""

    def __init__(self) -> None:
        self.has_come = False

    def __call__(self, _: Any) -> str:
        if not self.has_come:
            raise ValueError("no luck")
        return "luck"


def states(workflow: Workflow) -> dict[str, str]:
    return {task.name: task.status.value for task in workflow.tasks}


# --- failure --------------------------------------------------------------------------------


def test_a_failure_skips_what_depends_on_it_and_nothing_else(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    slow = Gate()
    workflow = Workflow(
        "cascade",
        [cast.task("bad", fails), cast.task("b"), cast.task("c"), cast.task("slow", slow),
         cast.task("e"), cast.task("also bad", fails)],
        {"b": ["bad"], "c": ["b", "slow"], "e": ["slow"], "also bad": ["e"]},
    )  # fmt: skip
    orch.submit_workflow(workflow)
    assert slow.came.wait(5)
    # It is known to be lost before its other dependency is done.
    with pytest.raises(TaskSkippedError, match="bad failed: ValueError: no luck"):
        workflow.tasks[2].result(5)
    assert workflow.status is WorkflowStatus.RUNNING
    slow.open()
    with pytest.raises(WorkflowFailedError) as raised:
        workflow.result(10)
    # The first cause, not the last.
    assert raised.value.reason == "bad failed: ValueError: no luck"
    assert states(workflow) == {
        "bad": "failed", "b": "skipped", "c": "skipped", "slow": "completed", "e": "completed",
        "also bad": "failed",
    }  # fmt: skip
    assert workflow.outputs == {"slow": "through", "e": "E"}
    assert cast.runs == {"bad": 1, "slow": 1, "e": 1, "also bad": 1}


# --- retry and rerun ------------------------------------------------------------------------


def test_a_retry_of_what_failed_reuses_every_recorded_output(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    luck = Luck()
    bad = cast.task("bad", luck)
    workflow = Workflow(
        "retried",
        [cast.task("a"), bad, cast.telling("c", "{bad.output} {a.output}"), cast.task("d"),
         cast.task("sorry", on_failure=bad)],
        {"bad": ["a"], "d": ["a"]},
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    assert states(workflow)["sorry"] == "completed"
    luck.has_come = True
    assert workflow.retry_failed() is workflow
    assert workflow.status is not WorkflowStatus.FAILED
    assert workflow.wait(10).status is WorkflowStatus.COMPLETED
    assert workflow.error is None
    assert workflow.outputs["c"] == ["luck A", {}]
    assert cast.runs == {"a": 1, "bad": 2, "c": 1, "d": 1, "sorry": 1}
    with pytest.raises(IllegalMoveError, match="completed with nothing to retry"):
        workflow.retry_failed()


def test_a_retry_leaves_what_its_failures_did_not_touch(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    luck, good = Luck(), cast.task("good")
    workflow = Workflow(
        "untouched", [good, cast.task("sorry", on_failure=good), cast.task("bad", luck)], {}
    )
    orch.submit_workflow(workflow).wait(10)
    assert states(workflow)["sorry"] == "skipped"
    luck.has_come = True
    assert workflow.retry_failed().wait(10).status is WorkflowStatus.COMPLETED
    assert states(workflow) == {"good": "completed", "sorry": "skipped", "bad": "completed"}
    assert all(task.status.is_final for task in workflow.tasks)


def test_a_second_failure_is_decided_anew(orch: Orchestrator, cast: Rehearsal) -> None:
    luck = Luck()
    first, second = cast.task("first", luck), cast.task("second", fails)
    workflow = Workflow(
        "anew",
        [first, second, cast.task("sorry", on_failure=second), cast.task("after sorry")],
        {"second": ["first"], "after sorry": ["sorry"]},
    )
    orch.submit_workflow(workflow).wait(10)
    assert list(states(workflow).values()) == ["failed", "skipped", "skipped", "skipped"]
    luck.has_come = True
    workflow.retry_failed().wait(10)
    assert list(states(workflow).values()) == ["completed", "failed", "completed", "completed"]
    assert workflow.error == "second failed: ValueError: no luck"


def test_one_task_of_a_workflow_is_retried_with_what_it_had_skipped(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    luck, bad = Luck(), cast.task("other bad", fails)
    workflow = Workflow(
        "one of two",
        [cast.task("bad", luck), cast.task("b"), bad, cast.task("d"), cast.task("both")],
        {"b": ["bad"], "d": ["other bad"], "both": ["b", "d"]},
    )
    orch.submit_workflow(workflow).wait(10)
    luck.has_come = True
    assert orch.retry(workflow.tasks[0].id).wait(10).output == "luck"
    again = orch.get_workflow(workflow.id).wait(10)
    # The other failure is still there, and so is what it stands in the way of.
    assert again.status is WorkflowStatus.FAILED
    assert again.error == "other bad failed: ValueError: no luck"
    assert list(states(again).values()) == [
        "completed", "completed", "failed", "skipped", "skipped",
    ]  # fmt: skip
    assert again.tasks[4].error == "TaskSkippedError: other bad failed: ValueError: no luck"
    assert cast.runs == {"bad": 2, "b": 1, "other bad": 1}


def test_a_rerun_from_a_task_runs_it_and_what_depends_on_it_again(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    never, part = Gate(), Workflow("part", [cast.task("x"), cast.task("y")], {"y": ["x"]})
    items = cast.task("items", lambda _: [1, 2])
    workflow = Workflow(
        "rerun",
        [
            items,
            cast.task("each", lambda n: n + 1, map=items),
            Task(part, name="part"),
            cast.task("not taken", when=lambda: items.output[0] == 2),
            cast.task("not needed", never),
            cast.task("one", need=1, cancel_rest=True),
            cast.telling("end", "{items.output} {each.output}"),
        ],
        {"each": ["part"], "one": ["items", "not needed"], "end": ["each", "one"]},
    )
    orch.submit_workflow(workflow).wait(10)
    never.open()

    def ran() -> Counter[str]:
        # The one that is not needed may be cancelled before or after it starts.
        return Counter({name: n for name, n in cast.runs.items() if name != "not needed"})

    before = ran()
    assert before == {"items": 1, "each": 2, "x": 1, "y": 1, "one": 1, "end": 1}
    again = workflow.rerun(from_task="each")
    assert again.id != workflow.id
    assert again.result(10) == workflow.output
    assert again.outputs == workflow.outputs
    assert ran() - before == {"each": 2, "end": 1}
    assert states(again)["not taken"] == "skipped"
    assert states(again)["not needed"] == "skipped"
    assert again.to_mermaid().count("-->") == orch.get_workflow(workflow.id).to_mermaid().count(
        "-->"
    )
    # A rerun of the rerun, of everything.
    whole = orch.submit_workflow(again, rerun=True).wait(10)
    assert whole.outputs == workflow.outputs
    assert cast.runs["x"] == 2
    with pytest.raises(TaskNotFoundError):
        workflow.rerun(from_task="nobody")


def test_a_rerun_of_a_failed_workflow_takes_what_completed(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    luck = Luck()
    workflow = Workflow(
        "rerun failed", [cast.task("a"), cast.task("b", luck), cast.telling("c")],
        {"b": ["a"], "c": ["a", "b"]}, deadline=60,
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    luck.has_come = True
    again = workflow.rerun(from_task=workflow.tasks[1])
    assert again.result(10) == [None, {"a": "A", "b": "luck"}]
    assert cast.runs == {"a": 1, "b": 2, "c": 1}
    assert workflow.status is WorkflowStatus.FAILED


# --- cancel and deadline --------------------------------------------------------------------


def test_a_cancel_reaches_what_waits_what_runs_and_what_is_nested(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    gates = [Gate(), Gate(), Gate()]
    inner = Workflow("inner", [cast.task("deep", gates[0]), cast.task("x")], {"x": ["deep"]})
    two = cast.task("two", lambda _: [1, 2])
    workflow = Workflow(
        "cancelled",
        [cast.task("done"), two, cast.task("runs", gates[1]), Task(inner, name="part"),
         cast.task("each", gates[2], map=two), cast.task("late", delay=60),
         cast.task("waits"), cast.task("sorry", on_failure="runs")],
        {"waits": ["runs", "part", "each"]},
    )  # fmt: skip
    orch.submit_workflow(workflow)
    assert all(gate.came.wait(5) for gate in gates)
    assert workflow.tasks[0].wait(5).status is TaskStatus.COMPLETED
    assert orch.cancel(workflow.id, reason="changed my mind")
    with pytest.raises(WorkflowCancelledError, match="changed my mind"):
        workflow.result(5)
    for gate in gates:
        gate.open()
    everything = orch.get_workflow(workflow.id)
    assert {task.name for task in everything.tasks if task.status == "completed"} == {
        "done", "two",
    }  # fmt: skip
    stopped = [task for task in everything.tasks if task.name not in {"done", "two"}]
    assert {task.status for task in stopped} == {TaskStatus.CANCELLED}
    assert {task.error for task in stopped} == {"TaskCancelledError: changed my mind"}
    assert not workflow.cancel()
    assert orch.workers()
    # Nothing was lost by it: a retry takes all of it up.
    assert workflow.retry_failed().tasks[6].result(10) == "WAITS"
    assert workflow.cancel()
    assert {name for name, state in states(workflow).items() if state == "cancelled"} == {"late"}


def test_a_cancelled_task_skips_what_depends_on_it_and_fails_the_workflow(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    gate = Gate()
    workflow = Workflow(
        "one cancelled", [cast.task("a", gate), cast.task("b"), cast.task("c")], {"b": ["a"]}
    )
    orch.submit_workflow(workflow)
    assert gate.came.wait(5)
    assert workflow.tasks[0].cancel()
    workflow.wait(10)
    gate.open()
    assert list(states(workflow).values()) == ["cancelled", "skipped", "completed"]
    assert workflow.error == "a cancelled: TaskCancelledError: cancelled by request"
    with pytest.raises(TaskCancelledError):
        workflow.tasks[0].result(5)


def test_a_deadline_ends_the_whole(orch: Orchestrator, cast: Rehearsal) -> None:
    gate = Gate()
    workflow = Workflow("late", [cast.task("a", gate), cast.task("b")], {"b": ["a"]}, deadline=0.3)
    began = time.monotonic()
    with pytest.raises(WorkflowCancelledError, match="its deadline passed"):
        orch.submit_workflow(workflow).result(10)
    assert 0.25 < time.monotonic() - began < 3
    gate.open()
    assert set(states(workflow).values()) == {"cancelled"}
    # A retry has the same time again, and a workflow in time is left alone.
    assert workflow.retry_failed().result(10) == "B"
    ends = Keys("default").prefix + "deadlines"
    assert not orch._store.client.zscore(ends, workflow.id)
