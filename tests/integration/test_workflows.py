"""Workflows: who waits for whom, what they are given, and how they are seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from pyagent_orch import (
    Agent,
    IllegalMoveError,
    Orchestrator,
    Task,
    TaskStatus,
    TaskTimeoutError,
    Workflow,
    WorkflowNotFoundError,
    WorkflowStatus,
    agent,
)
from support.fleet import until
from support.rehearsal import Gate, Rehearsal


@pytest.fixture(scope="module")
def orch() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture
def cast() -> Rehearsal:
    return Rehearsal()


def read_both(outputs: dict[str, Any]) -> str:
    return " and ".join(sorted(outputs.values()))


# --- dependencies -------------------------------------------------------------------------


def test_dependencies_are_given_by_id_by_name_or_as_tasks(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    first, second = cast.task("first"), cast.task("second", id=f"second-{id(cast)}")
    third, fourth = cast.task("third"), cast.telling("fourth")
    workflow = Workflow(
        name="mixed",
        tasks=[fourth, third, second, first],
        dependencies={second.id: ["first"], "third": second.id, fourth: [third, first.id]},
    )
    orch.submit_workflow(workflow)
    assert workflow.result(10) == [None, {"third": "THIRD", "first": "FIRST"}]
    times = [(task.started_at, task.completed_at) for task in (first, second, third, fourth)]
    assert all(ended <= began for (_, ended), (began, _) in pairwise(times))
    assert set(cast.runs.values()) == {1}


def test_an_id_wins_over_a_name(orch: Orchestrator, cast: Rehearsal) -> None:
    # The name of one is the id of another.
    by_id, by_name = cast.task("right", id=f"x-{id(cast)}"), cast.task(f"x-{id(cast)}")
    last = cast.telling("last")
    workflow = Workflow("ids", [by_name, by_id, last], {"last": [by_id.id]})
    orch.submit_workflow(workflow)
    assert workflow.wait(10).outputs["last"] == [None, {"right": "RIGHT"}]


def test_a_task_starts_as_soon_as_its_own_dependencies_are_done(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    slow = Gate()
    workflow = Workflow(
        name="no barrier",
        tasks=[
            cast.task("slow", slow),
            cast.task("quick"),
            cast.task("after quick"),
            cast.task("end"),
        ],
        dependencies={"after quick": ["quick"], "end": ["slow", "after quick"]},
    )
    orch.submit_workflow(workflow)
    assert slow.came.wait(5)
    workflow.tasks[2].wait(5)
    assert workflow.tasks[0].status is TaskStatus.RUNNING
    assert workflow.tasks[3].status is TaskStatus.PENDING
    slow.open()
    assert workflow.result(10) == "END"


# --- inputs -------------------------------------------------------------------------------


def test_a_lambda_is_traced_and_makes_the_dependency(orch: Orchestrator, cast: Rehearsal) -> None:
    gather = cast.task("gather", lambda _: {"title": "Bees", "pages": [1, 2]})
    write = cast.telling("write", lambda: f"Report on {gather.output['title']}: {gather.output}")
    shaped = cast.telling("shaped", lambda: {"all": [gather.output["pages"][1], write.output]})
    workflow = orch.submit_workflow(Workflow("traced", [shaped, write, gather]))
    outputs = workflow.wait(10).outputs
    told = 'Report on Bees: {"title": "Bees", "pages": [1, 2]}'
    assert outputs["write"] == [told, {}]
    assert outputs["shaped"] == [{"all": [2, [told, {}]]}, {}]


def test_templates_are_filled_and_other_braces_are_left(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    workflow = Workflow(
        "templates",
        [
            cast.task("Gather Sources", lambda _: {"best": "a book"}),
            cast.telling("whole", "{Gather Sources.output}"),
            cast.telling("part", "Read {Gather Sources.output[best]}; {e.g. this} {{not me}}"),
            cast.telling("listed", {"read": ["{Gather Sources.output[best]}", 3]}),
        ],
    )
    outputs = orch.submit_workflow(workflow).wait(10).outputs
    assert outputs["whole"] == [{"best": "a book"}, {}]
    assert outputs["part"][0] == "Read a book; {e.g. this} {{not me}}"
    assert outputs["listed"][0] == {"read": ["a book", 3]}


def test_a_function_of_the_outputs_runs_on_the_worker(orch: Orchestrator, cast: Rehearsal) -> None:
    workflow = Workflow(
        "function",
        [cast.task("salt"), cast.task("pepper"), cast.telling("cook", read_both)],
        {"cook": ["salt", "pepper"]},
    )
    # It has seen all outputs itself; they do not come a second time, as context.
    assert orch.submit_workflow(workflow).result(10) == ["PEPPER and SALT", {}]


def test_outputs_that_an_input_does_not_name_are_context(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    # Short ids, which stand in the text too.
    named, other = cast.task("named", id=f"t-{id(cast)}"), cast.task("other", id=f"e-{id(cast)}")
    workflow = Workflow(
        "context",
        [
            named,
            other,
            cast.telling("some", f"t-{id(cast)} e-{id(cast)} {{named.output}}"),
            cast.telling("none", "plain"),
            cast.telling("off", "plain", context=False),
        ],
        {name: ["named", "other"] for name in ("some", "none", "off")},
    )
    outputs = orch.submit_workflow(workflow).wait(10).outputs
    assert outputs["some"][1] == {"other": "OTHER"}
    assert outputs["none"] == ["plain", {"named": "NAMED", "other": "OTHER"}]
    assert outputs["off"] == ["plain", {}]


def test_context_reaches_a_model(orch: Orchestrator, cast: Rehearsal) -> None:
    writer: Agent[str] = agent("You are a writer")
    workflow = Workflow(
        "model", [cast.task("facts", lambda _: "Bees dance."), Task(writer, "Write", name="write")],
        {"write": ["facts"]},
    )  # fmt: skip
    assert "Bees dance." in orch.submit_workflow(workflow).result(20)


# --- the run itself -----------------------------------------------------------------------


def test_the_same_object_comes_back_live(orch: Orchestrator, cast: Rehearsal) -> None:
    gate, last = Gate({"n": 1}), Gate()
    workflow = Workflow("live", [cast.task("a", gate), cast.task("b", last)], {"b": ["a"]})
    assert (workflow.status, workflow.progress, workflow.outputs) == ("pending", 0.0, {})
    assert orch.submit_workflow(workflow) is workflow
    assert gate.came.wait(5)
    assert workflow.status is WorkflowStatus.RUNNING
    assert (workflow.progress, workflow.outputs, workflow.output) == (0.0, {}, None)
    gate.open()
    assert last.came.wait(5)
    assert (workflow.progress, workflow.outputs) == (0.5, {"a": {"n": 1}})
    assert "class t0 completed" in workflow.to_mermaid()
    assert "class t1 running" in workflow.to_mermaid()
    with pytest.raises(TaskTimeoutError):
        workflow.wait(0.05)
    last.open()
    assert workflow.result(10) == "through"
    assert (workflow.progress, workflow.status) == (1.0, WorkflowStatus.COMPLETED)
    assert workflow.created_at <= workflow.started_at <= workflow.completed_at
    assert str(workflow) == f"live [{workflow.id}] COMPLETED 2/2"


def test_the_output_is_that_of_the_last_task_or_of_the_last_ones(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    one = Workflow("one", [cast.task("a"), cast.task("b")], {"b": ["a"]})
    two = Workflow("two", [cast.task("c"), cast.task("d"), cast.task("e")], {"e": ["c"]})
    assert orch.submit_workflow(one).result(10) == "B"
    assert orch.submit_workflow(two).result(10) == {"d": "D", "e": "E"}
    assert two.outputs == {"c": "C", "d": "D", "e": "E"}


def test_a_workflow_is_looked_up_with_its_tasks_and_listed(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    workflow = Workflow(
        "looked up", [cast.task("a"), cast.task("b")], {"b": ["a"]}, metadata={"team": "x"}
    )
    orch.submit_workflow(workflow, pattern="parallel").wait(10)
    found = orch.get_workflow(workflow.id)
    assert [(task.name, task.output) for task in found.tasks] == [("a", "A"), ("b", "B")]
    assert (found.outputs, found.output) == (workflow.outputs, "B")
    assert (found.metadata, found.pattern) == ({"team": "x"}, "parallel")
    assert found.to_mermaid() == workflow.to_mermaid()
    listed = orch.workflows(name="looked up", status="completed")
    assert [one.id for one in listed] == [workflow.id]
    assert workflow.id in [one.id for one in orch.workflows()]
    assert workflow.id not in [one.id for one in orch.workflows(status="failed")]
    with pytest.raises(WorkflowNotFoundError):
        orch.get_workflow("no-such-workflow")


def test_an_id_that_runs_returns_that_run_and_one_that_is_final_is_refused(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    gate, told = Gate(), []
    name = f"daily-{id(cast)}"

    def build() -> Workflow:
        return Workflow("daily", [cast.task("work", gate)], id=name)

    first = orch.submit_workflow(build(), callback=told.append)
    assert gate.came.wait(5)
    again = orch.submit_workflow(build())
    assert orch.submit_workflow(first) is first
    assert again.id == name
    assert again.tasks[0].id == first.tasks[0].id
    gate.open()
    assert again.result(10) == "through"
    until(lambda: told == [first])
    with pytest.raises(IllegalMoveError, match="rerun=True"):
        orch.submit_workflow(build())
    anew = orch.submit_workflow(build(), rerun=True)
    assert anew.id != name
    assert anew.result(10) == "through"
    assert cast.runs == {"work": 2}
    assert len(told) == 1


def test_explain_says_the_chains_and_chords_and_mermaid_draws_them(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    workflow = Workflow(
        "diamond",
        [cast.task("a"), cast.telling("b", "{a.output}"), cast.task("c"), cast.task("d")],
        {"c": ["a"], "d": ["b", "c"]},
    )
    said, drawn = workflow.explain(), workflow.to_mermaid()
    assert said == "diamond: chain(a) ; chord([b, c], d)\n  a -> group(b, c)"
    assert drawn.splitlines()[5:] == ["    t0 --> t1", "    t0 --> t2", "    t1 --> t3",
                                      "    t2 --> t3"]  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    assert workflow.explain() == said
    assert workflow.to_mermaid().startswith(drawn)
    assert "class t0,t1,t2,t3 completed" in workflow.to_mermaid()


def test_workflows_and_tasks_are_awaited_together(orch: Orchestrator, cast: Rehearsal) -> None:
    async def main() -> tuple[Any, ...]:
        workflow = await orch.asubmit_workflow(
            Workflow("awaited", [cast.task("a"), cast.task("b")], {"b": ["a"]}), "sequential"
        )
        single = await orch.asubmit(cast.task("single"))
        return await workflow, await single, workflow.outputs

    assert asyncio.run(main()) == ("B", "SINGLE", {"a": "A", "b": "B"})
    both = [orch.submit_workflow(Workflow("w", [cast.task("c")])), orch.submit(cast.task("d"))]
    assert orch.wait(*both, timeout=10) == both
    assert [one.output for one in both] == ["C", "D"]


def test_tasks_of_a_workflow_keep_their_own_retry_delay_and_callback(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    told: list[Task] = []

    def flaky(_: Any) -> str:
        if cast.runs["flaky"] < 3:
            raise ConnectionError("not yet")
        return "at last"

    flaky_task = cast.task("flaky", flaky, retry=3)
    flaky_task.retry = flaky_task.retry.model_copy(update={"delay_seconds": 0.01})
    later = cast.task("later", delay=0.3, callback=told.append)
    workflow = orch.submit_workflow(Workflow("own", [flaky_task, later], {"later": ["flaky"]}))
    assert workflow.result(15) == "LATER"
    assert (flaky_task.attempts, cast.runs["flaky"]) == (3, 3)
    assert (later.started_at - flaky_task.completed_at).total_seconds() >= 0.29
    until(lambda: told == [later])
