"""What a workflow decides while it runs: branches, fan-out, joins of some, sub-workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyagent_orch import Orchestrator, Task, TaskStatus, Workflow, WorkflowStatus
from support.fleet import until
from support.rehearsal import Gate, Rehearsal, fails


@pytest.fixture(scope="module")
def orch() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture
def cast() -> Rehearsal:
    return Rehearsal()


def states(workflow: Workflow) -> dict[str, str]:
    return {task.name: task.status.value for task in workflow.tasks}


def is_short(outputs: dict[str, Any]) -> bool:
    return len(outputs["text"]) < 10


# --- when -----------------------------------------------------------------------------------


def test_a_branch_that_is_not_taken_is_skipped_with_what_only_it_fed(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    sort = cast.task("sort", lambda _: {"kind": "tech", "urgent": False})
    workflow = Workflow(
        "branches",
        [
            sort,
            cast.task("tech", when=lambda: sort.output["kind"] == "tech"),
            cast.task("bill", when=lambda: sort.output["kind"] == "bill"),
            cast.task("after bill"),
            cast.task(
                "alarm", when=lambda: (sort.output["kind"] == "tech") & sort.output["urgent"]
            ),
            cast.telling("join"),
        ],
        {"after bill": ["bill"], "join": ["tech", "after bill"]},
    )
    assert orch.submit_workflow(workflow).wait(10).status is WorkflowStatus.COMPLETED
    assert states(workflow) == {
        "sort": "completed", "tech": "completed", "bill": "skipped", "after bill": "skipped",
        "alarm": "skipped", "join": "completed",
    }  # fmt: skip
    assert workflow.outputs["join"] == [None, {"tech": "TECH"}]
    assert workflow.tasks[2].error == "TaskSkippedError: its condition is false"
    assert workflow.tasks[3].error == "TaskSkippedError: its branch was not taken"
    assert "bill" not in cast.runs


def test_a_condition_may_be_a_function_of_the_outputs(orch: Orchestrator, cast: Rehearsal) -> None:
    workflow = Workflow(
        "function",
        [cast.task("text"), cast.task("short", when=is_short),
         cast.task("long", when=lambda outputs: not is_short(outputs))],
        {"short": ["text"], "long": ["text"]},
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    assert states(workflow) == {"text": "completed", "short": "completed", "long": "skipped"}


def test_a_condition_that_cannot_be_decided_fails_its_task(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    sort = cast.task("sort", lambda _: {"kind": "tech"})
    asked = cast.task("asked", when=lambda: sort.output["colour"] == "red")
    workflow = orch.submit_workflow(Workflow("broken", [sort, asked])).wait(10)
    assert workflow.status is WorkflowStatus.FAILED
    assert "no output['colour']" in asked.error
    assert cast.runs == {"sort": 1}


# --- map ------------------------------------------------------------------------------------


def test_a_map_runs_its_agent_over_the_list_and_joins_on_all(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    pages, topic = cast.task("pages", lambda _: ["a", "b", {"n": 1}]), cast.task("topic")
    workflow = Workflow(
        "maps",
        [
            pages,
            topic,
            cast.task("bare", lambda item: [item], map=pages),
            cast.task("text", str, "Read {item}!", map="pages"),
            cast.task("dict", lambda given: given, {"page": "{item}", "no": 7}, map=pages.id),
            cast.task("named", str, lambda: f"{topic.output}: {{item}}", map=pages),
            cast.telling("count", "{bare.output}"),
        ],
    )
    outputs = orch.submit_workflow(workflow).wait(10).outputs
    assert outputs["bare"] == [["a"], ["b"], [{"n": 1}]]
    assert outputs["text"] == ["Read a!", "Read b!", 'Read {"n":1}!']
    assert outputs["dict"] == [{"page": p, "no": 7} for p in ("a", "b", {"n": 1})]
    assert outputs["named"] == ["TOPIC: a", "TOPIC: b", 'TOPIC: {"n":1}']
    assert outputs["count"][0] == [["a"], ["b"], [{"n": 1}]]
    found = {task.name: task for task in orch.get_workflow(workflow.id).tasks}
    assert found["bare[1]"].output == ["b"]
    assert workflow.progress == 1.0
    assert set(workflow.outputs) == {task.name for task in workflow.tasks}
    assert '"bare#91;2#93;"' in workflow.to_mermaid()


def test_a_map_over_nothing_is_an_empty_list_and_over_no_list_a_failure(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    empty, text = cast.task("empty", lambda _: []), cast.task("text")
    workflow = Workflow(
        "edges",
        [empty, text, cast.task("none", map=empty), cast.telling("end", "{none.output}"),
         cast.task("wrong", map=text)],
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    assert workflow.outputs["end"] == [[], {}]
    assert workflow.error == (
        "wrong failed: AgentError: Agent 'wrong': it maps over a list, but was given str: \"TEXT\""
    )


def test_an_item_that_fails_fails_its_map_and_a_retry_runs_only_that_item(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    gate = Gate()

    def work(item: int) -> int:
        if item == 2 and cast.runs["squares"] <= 3:
            gate(item)
            raise ValueError("two")
        return item * item

    numbers = cast.task("numbers", lambda _: [1, 2, 3])
    workflow = Workflow(
        "retried", [numbers, cast.task("squares", work, map=numbers), cast.telling("end")],
        {"end": ["squares"]},
    )  # fmt: skip
    orch.submit_workflow(workflow)
    until(lambda: workflow.progress > 0.4)
    gate.open()
    workflow.wait(10)
    assert states(workflow) == {"numbers": "completed", "squares": "failed", "end": "skipped"}
    assert workflow.error == "squares[1] failed: ValueError: two"
    assert cast.runs == {"numbers": 1, "squares": 3}
    assert workflow.retry_failed().result(10) == [None, {"squares": [1, 4, 9]}]
    assert cast.runs == {"numbers": 1, "squares": 4, "end": 1}


# --- need -----------------------------------------------------------------------------------


def test_a_join_may_need_only_some_and_cancel_the_rest(orch: Orchestrator, cast: Rehearsal) -> None:
    slow, shared = Gate(), Gate()
    workflow = Workflow(
        "two of four",
        [
            cast.task("a"),
            cast.task("b"),
            cast.task("source", slow),
            cast.task("fed"),
            cast.task("shared", shared),
            cast.task("reads shared"),
            cast.telling("join", need=2, cancel_rest=True),
        ],
        {"fed": ["source"], "reads shared": ["shared"], "join": ["a", "b", "fed", "shared"]},
    )
    orch.submit_workflow(workflow)
    assert workflow.tasks[-1].wait(10).output == [None, {"a": "A", "b": "B"}]
    assert shared.came.wait(5)
    shared.open()
    workflow.wait(10)
    slow.open()
    # What somebody else waits for goes on; what only the rest needed is cancelled with it.
    assert states(workflow) == {
        "a": "completed", "b": "completed", "source": "cancelled", "fed": "cancelled",
        "shared": "completed", "reads shared": "completed", "join": "completed",
    }  # fmt: skip
    assert workflow.status is WorkflowStatus.COMPLETED
    assert workflow.tasks[2].error == "TaskCancelledError: not needed any more"


def test_a_join_of_some_lets_the_rest_go_on_unless_asked(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    slow = Gate()
    workflow = Workflow(
        "any", [cast.task("a"), cast.task("slow", slow), cast.telling("first", need=1)],
        {"first": ["a", "slow"]},
    )  # fmt: skip
    orch.submit_workflow(workflow)
    assert workflow.tasks[2].wait(10).output == [None, {"a": "A"}]
    assert workflow.status is WorkflowStatus.RUNNING
    slow.open()
    assert workflow.wait(10).outputs["slow"] == "through"
    assert cast.runs["first"] == 1


def test_a_join_that_cannot_get_what_it_needs_is_skipped_at_once(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    slow = Gate()
    workflow = Workflow(
        "short", [cast.task("a", fails), cast.task("slow", slow), cast.task("both", need=2)],
        {"both": ["a", "slow"]},
    )  # fmt: skip
    orch.submit_workflow(workflow)
    assert workflow.tasks[2].wait(5).status is TaskStatus.SKIPPED
    assert slow.came.wait(5)
    slow.open()
    assert workflow.wait(10).error == "a failed: ValueError: no luck"


def test_a_map_may_need_only_some_of_its_items(orch: Orchestrator, cast: Rehearsal) -> None:
    slow = Gate()
    numbers = cast.task("numbers", lambda _: [0, 1, 2])
    some = cast.task(
        "some", lambda n: slow(n) if n == 1 else n, map=numbers, need=2, cancel_rest=True
    )
    workflow = orch.submit_workflow(Workflow("some", [numbers, some]))
    assert workflow.result(10) == [0, 2]
    slow.open()
    found = {task.name: task.status for task in orch.get_workflow(workflow.id).tasks}
    assert found["some[1]"] is TaskStatus.CANCELLED


# --- sub-workflows --------------------------------------------------------------------------


def test_a_workflow_is_a_task_of_another(orch: Orchestrator, cast: Rehearsal) -> None:
    deep = Workflow("deep", [cast.task("x"), cast.task("y")])
    inner = Workflow(
        "inner",
        [cast.telling("start"), Task(deep, name="deep"), cast.telling("end", sorted)],
        {"end": ["start", "deep"]},
    )
    outer = Workflow(
        "outer",
        [cast.task("before"), Task(inner, name="part"), cast.telling("after", "{part.output}")],
        {"part": ["before"]},
    )
    drawn = outer.to_mermaid()
    assert '"part/deep/x"' in drawn
    # Inside, names are those of the level; the first tasks see what the whole waits for.
    assert orch.submit_workflow(outer).result(10) == [[["deep", "start"], {}], {}]
    assert outer.outputs["part"] == [["deep", "start"], {}]
    found = {task.name: task for task in orch.get_workflow(outer.id).tasks}
    assert found["part/start"].output == [None, {"before": "BEFORE"}]
    assert found["part/deep"].output == {"x": "X", "y": "Y"}
    assert found["part/deep/x"].started_at >= found["before"].completed_at
    assert set(orch.get_workflow(outer.id).outputs) == {"before", "part", "after"}
    assert outer.to_mermaid().startswith(drawn)
    assert set(cast.runs.values()) == {1}


def test_a_sub_workflow_obeys_the_conditions_of_its_task(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    def part(name: str, **options: Any) -> Task:
        inner = Workflow(
            f"of {name}", [cast.task(f"{name} 1"), cast.task(f"{name} 2")],
            {f"{name} 2": [f"{name} 1"]},
        )  # fmt: skip
        return Task(inner, name=name, **options)

    choice, bad = cast.task("choice", lambda _: 1), cast.task("bad", fails)
    slow = Gate()
    workflow = Workflow(
        "conditions",
        [
            choice, bad, cast.task("slow", slow),
            part("yes", when=lambda: choice.output == 1),
            part("no", when=lambda: choice.output == 2),
            part("rescue", on_failure=bad),
            part("spare", on_failure=choice),
            part("quick", need=1, cancel_rest=True),
            cast.telling("end", context=False),
        ],
        {"quick": ["choice", "slow"], "end": ["yes", "no"]},
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    slow.open()
    assert states(workflow) == {
        "choice": "completed", "bad": "failed", "slow": "cancelled", "yes": "completed",
        "no": "skipped", "rescue": "completed", "spare": "skipped", "quick": "completed",
        "end": "completed",
    }  # fmt: skip
    ran = {name for name in cast.runs if name[-1] in "12"}
    assert ran == {f"{name} {n}" for name in ("yes", "rescue", "quick") for n in "12"}


def test_a_failure_inside_fails_the_sub_workflow_and_what_waits_for_it(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    inner = Workflow("inner", [cast.task("good"), cast.task("bad", fails)])
    workflow = Workflow(
        "outer", [Task(inner, name="part"), cast.task("after"), cast.task("else")],
        {"after": ["part"]},
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    assert states(workflow) == {"part": "failed", "after": "skipped", "else": "completed"}
    assert workflow.error == "part/bad failed: ValueError: no luck"


def test_a_sub_workflow_none_of_whose_branches_is_taken_is_skipped_and_fails_nothing(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    inner = Workflow("inner", [cast.task("x", when=lambda: False)])
    workflow = Workflow("outer", [Task(inner, name="part"), cast.task("else")])
    assert orch.submit_workflow(workflow).wait(10).status is WorkflowStatus.COMPLETED
    assert states(workflow) == {"part": "skipped", "else": "completed"}


# --- on failure -----------------------------------------------------------------------------


def test_an_on_failure_task_runs_only_if_one_of_its_tasks_fails_and_hears_why(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    bad, good = cast.task("bad", fails), cast.task("good")
    told = cast.telling("told", on_failure=[bad, "good"])
    own = cast.telling("own", "Say sorry", on_failure=bad)
    workflow = Workflow(
        "rescue",
        [bad, good, told, own, cast.telling("after told", "{told.output[0]}"),
         cast.task("idle", on_failure=good), cast.task("after idle")],
        {"after idle": ["idle"]},
    )  # fmt: skip
    orch.submit_workflow(workflow).wait(10)
    # A failure stays one: the workflow says so, whatever was rescued.
    assert workflow.status is WorkflowStatus.FAILED
    assert told.output[0] == "bad failed: ValueError: no luck"
    assert own.output == ["Say sorry", {"bad": {"error": "ValueError: no luck"}}]
    assert workflow.outputs["after told"][0] == told.output[0]
    assert states(workflow)["idle"] == states(workflow)["after idle"] == "skipped"
    assert cast.runs.keys() >= {"told", "own", "after told"}
    assert "idle" not in cast.runs
