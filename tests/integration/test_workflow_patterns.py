"""The execution patterns of a workflow: who runs when, and the two that are bounded loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from pyagent_orch import (
    ExecutionPattern,
    InvalidWorkflowError,
    Orchestrator,
    Task,
    TaskStatus,
    Workflow,
    WorkflowFailedError,
)
from support.rehearsal import Gate, Rehearsal, fails


@pytest.fixture(scope="module")
def orch() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture
def cast() -> Rehearsal:
    return Rehearsal()


def turns(orch: Orchestrator, workflow: Workflow) -> list[str]:
    """The names of all recorded tasks, in the order they were recorded."""
    return [task.name for task in orch.get_workflow(workflow.id).tasks]


# --- SEQUENTIAL and PARALLEL ----------------------------------------------------------------


def test_sequential_runs_one_at_a_time_as_listed_where_dependencies_leave_it_free(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    inner = Workflow("inner", [cast.task("x"), cast.task("y")])
    tasks = [cast.task("d"), cast.task("a"), Task(inner, name="b"), cast.task("c")]
    workflow = Workflow("one by one", tasks, {"d": ["c"]})
    orch.submit_workflow(workflow, pattern=ExecutionPattern.SEQUENTIAL).wait(10)
    ran = sorted(orch.get_workflow(workflow.id).tasks, key=lambda task: task.started_at)
    assert [task.name for task in ran if not task.name.startswith("b/")] == ["a", "b", "c", "d"]
    # The sub-workflow takes its turn as a whole; inside, its own pattern counts.
    alone = [task for task in ran if task.name != "b/y"]
    assert all(one.completed_at <= other.started_at for one, other in pairwise(alone))


def test_sequential_goes_on_after_a_failure_with_what_does_not_depend_on_it(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    tasks = [cast.task("a", fails), cast.task("b"), cast.task("c")]
    workflow = Workflow("on", tasks, {"b": ["a"]}, pattern="sequential")
    orch.submit_workflow(workflow).wait(10)
    assert [task.status for task in tasks] == ["failed", "skipped", "completed"]
    assert tasks[0].completed_at <= tasks[2].started_at


def test_parallel_runs_all_that_is_independent_at_once(orch: Orchestrator, cast: Rehearsal) -> None:
    together = threading.Barrier(4, timeout=10)
    tasks = [cast.task(f"t{i}", lambda _: together.wait() >= 0) for i in range(4)]
    workflow = Workflow("at once", [*tasks, cast.task("end")], {"end": [t.id for t in tasks]})
    # Each waits for all others to have come: one after the other would never end.
    orch.submit_workflow(workflow, pattern=ExecutionPattern.PARALLEL)
    assert workflow.result(15) == "END"


# --- SUPERVISOR -----------------------------------------------------------------------------


def supervisor(*answers: Any) -> tuple[Callable[[Any], Any], list[str]]:
    """An agent that gives these answers one after the other, and what it was asked."""
    asked: list[str] = []

    def review(request: str) -> Any:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1]

    return review, asked


def back(task: str, feedback: str) -> dict[str, Any]:
    return {"final": "not yet", "send_back": [{"task": task, "feedback": feedback}]}


def test_the_supervisor_sees_the_others_outputs_and_gives_the_final_one(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    review, asked = supervisor("the report")
    workflow = Workflow(
        "team",
        [cast.task("boss", review, "Write on bees"), cast.task("find"), cast.task("draw")],
        pattern="supervisor",
    )
    assert orch.submit_workflow(workflow).result(10) == "the report"
    assert len(asked) == 1
    assert asked[0].startswith("Write on bees\n\n## find\nFIND\n\n## draw\nDRAW\n\n")
    assert workflow.outputs == {"boss": "the report", "find": "FIND", "draw": "DRAW"}
    assert turns(orch, workflow) == ["find", "draw", "boss", "boss review 1"]


def test_work_that_is_sent_back_is_done_again_with_the_feedback(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    review, asked = supervisor(back("draw", "in colour"), {"final": "good", "send_back": []})
    find = cast.task("find")
    drawn: list[str] = []
    workflow = Workflow(
        "again",
        [
            cast.task("boss", review),
            find,
            cast.task("draw", lambda x: f"drawing {drawn.append(x) or len(drawn)}",
                      lambda: f"Draw {find.output}"),
        ],
        pattern="supervisor",
    )  # fmt: skip
    assert orch.submit_workflow(workflow).result(10) == "good"
    assert drawn[0] == "Draw FIND"
    assert drawn[1].startswith("Draw FIND\n\nYour answer before:\ndrawing 1\n")
    assert "in colour" in drawn[1]
    assert "drawing 2" in asked[1]
    assert "drawing 1" not in asked[1]
    assert cast.runs == {"boss": 2, "find": 1, "draw": 2}
    names = turns(orch, workflow)
    assert names[3:] == ["boss review 1", "draw again 1", "boss review 2"]


def test_a_supervisor_that_is_never_content_is_asked_a_last_time(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    review, asked = supervisor(back("work", "better"))
    workflow = Workflow(
        "never", [cast.task("boss", review), cast.task("work")], pattern="supervisor", max_rounds=2
    )
    assert orch.submit_workflow(workflow).result(10) == "not yet"
    assert cast.runs == {"boss": 3, "work": 3}
    assert ["Give the final answer now." in request for request in asked] == [False, False, True]


def test_a_supervisor_hears_of_a_failure_and_one_without_any_work_is_skipped(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    review, asked = supervisor("with what there is")
    workflow = Workflow(
        "half", [cast.task("boss", review), cast.task("good"), cast.task("bad", fails)],
        pattern="supervisor",
    )  # fmt: skip
    with pytest.raises(WorkflowFailedError, match="bad failed: ValueError: no luck"):
        orch.submit_workflow(workflow).result(10)
    assert workflow.output == "with what there is"
    assert "## bad\n(failed)" in asked[0]
    boss = cast.task("idle boss", supervisor("nothing")[0])
    none = Workflow("none", [boss, cast.task("bad", fails)], pattern="supervisor")
    orch.submit_workflow(none).wait(10)
    assert (boss.status, cast.runs["idle boss"]) == (TaskStatus.SKIPPED, 0)


def test_a_supervisor_that_others_wait_for_answers_first_and_reviews_at_the_end(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    boss, asked = supervisor("a plan", back("write", "shorter"), "the end")
    workflow = Workflow(
        "pipeline",
        [cast.task("boss", boss, "Do it"), cast.telling("write", "{boss.output}")],
        {"write": ["boss"]},
    )
    assert orch.submit_workflow(workflow, pattern="supervisor").result(10) == "the end"
    assert asked[0] == "Do it"
    assert asked[1].startswith("Do it\n\n## boss\na plan\n\n## write\n")
    assert cast.runs == {"boss": 3, "write": 2}
    assert [task.name for task in workflow.tasks] == ["boss", "write", "pipeline: review"]


def test_a_supervisor_that_fails_is_retried_where_it_was(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    broken = threading.Event()

    def review(_: str) -> Any:
        if not broken.is_set():
            broken.set()
            raise ConnectionError("model away")
        return "final"

    workflow = Workflow(
        "resumed", [cast.task("boss", review), cast.task("work")], pattern="supervisor"
    )
    orch.submit_workflow(workflow).wait(10)
    assert workflow.error == "boss review 1 failed: ConnectionError: model away"
    assert workflow.retry_failed().result(10) == "final"
    assert cast.runs == {"boss": 2, "work": 1}


# --- COLLABORATIVE --------------------------------------------------------------------------


def test_collaborators_work_on_one_draft_in_turn_until_it_stays_as_it_is(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    seen: list[str] = []

    def adds(word: str) -> Callable[[str], str]:
        def work(request: str) -> str:
            seen.append(request)
            draft = request.rpartition("\n")[2] if "draft" in request else ""
            return draft if word in draft else f"{draft} {word}".strip()

        return work

    workflow = Workflow(
        "draft",
        [cast.task("writer", adds("bees"), "Write."), cast.task("editor", adds("dance"), "Edit.")],
        pattern=ExecutionPattern.COLLABORATIVE,
        max_rounds=5,
    )
    assert orch.submit_workflow(workflow).result(10) == "bees dance"
    # The second round changed nothing, so there is no third.
    assert cast.runs == {"writer": 2, "editor": 2}
    assert seen[0] == "Write."
    assert seen[1].startswith("Edit.\n\nThe shared draft so far")
    assert seen[1].endswith("\nbees")
    assert turns(orch, workflow) == [
        "writer", "editor", "draft: draft", "writer round 2", "editor round 2",
    ]  # fmt: skip
    assert workflow.output == "bees dance"


def test_collaborators_stop_when_their_rounds_are_used_up(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    workflow = Workflow(
        "restless",
        [cast.task("a", lambda _: f"draft {cast.runs['a']}"), cast.task("b", len)],
        pattern="collaborative",
        max_rounds=2,
    )
    orch.submit_workflow(workflow).wait(10)
    assert cast.runs == {"a": 2, "b": 2}


@pytest.mark.parametrize("pattern", ["supervisor", "collaborative"])
def test_a_loop_runs_inside_of_a_sub_workflow(
    orch: Orchestrator, cast: Rehearsal, pattern: str
) -> None:
    inner = Workflow(
        "inner", [cast.task("first"), cast.task("second")], pattern=pattern, max_rounds=1
    )
    outer = Workflow(
        "outer", [cast.task("before"), Task(inner, name="team"), cast.telling("after")],
        {"team": ["before"], "after": ["team"]},
    )  # fmt: skip
    answer = "FIRST" if pattern == "supervisor" else "SECOND"
    assert orch.submit_workflow(outer).result(10) == [None, {"team": answer}]
    assert outer.outputs["team"] == answer


def test_a_workflow_runs_again_beside_itself_in_another_pattern(
    orch: Orchestrator, cast: Rehearsal
) -> None:
    gate = Gate()
    inner = Workflow("inner", [x := cast.task("x"), cast.telling("y", lambda: f"{x.output}!")])
    first = cast.task("first", gate)
    workflow = Workflow(
        "again",
        [
            first,
            cast.telling("second", lambda: f"{first.output}, {{not a template}}"),
            cast.telling("third", f"{{{first.id}.output}}?", when=lambda: first.output != ""),
            Task(inner, name="part"),
            cast.task("fourth", on_failure=first),
        ],
        {"part": [first.id]},
    )
    runs = [
        orch.submit_workflow(workflow, pattern=pattern) for pattern in ("sequential", "parallel")
    ]
    assert runs[0] is workflow
    assert orch.submit_workflow(workflow) is workflow
    assert orch.submit_workflow(workflow, pattern="sequential") is workflow
    gate.open()
    outputs = [run.wait(10).outputs for run in runs]
    assert outputs[0] == outputs[1]
    assert outputs[0]["second"][0] == "through, {not a template}"
    assert outputs[0]["third"][0] == "through?"
    assert outputs[0]["part"][0] == "X!"
    assert cast.runs == dict.fromkeys(("first", "second", "third", "x", "y"), 2)
    with pytest.raises(InvalidWorkflowError, match="it was looked up and not built here"):
        orch.submit_workflow(orch.get_workflow(workflow.id), pattern="parallel")


def test_patterns_refuse_what_they_cannot_do(cast: Rehearsal) -> None:
    def refused(pattern: str, tasks: list[Task], **options: Any) -> str:
        with pytest.raises(InvalidWorkflowError) as raised:
            Workflow("w", tasks, pattern=pattern, **options).validate()
        return raised.value.problem

    one = cast.task("one")
    assert "at least one other" in refused("supervisor", [one])
    inner = Task(Workflow("inner", [cast.task("x")]), name="inner")
    assert "needs an agent of its own" in refused("supervisor", [inner, one])
    assert "needs an agent of its own" in refused("collaborative", [one, inner])
    assert "max_rounds 0 is not" in refused("collaborative", [one], max_rounds=0)
    assert "no execution pattern 'magic'; known: sequential, parallel" in refused("magic", [one])
