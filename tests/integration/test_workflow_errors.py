"""What cannot be run is refused at submit, says why, and leaves nothing in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyagent_orch import (
    CycleError,
    DuplicateTaskError,
    InputError,
    InvalidTaskError,
    InvalidWorkflowError,
    Orchestrator,
    Task,
    UnknownDependencyError,
    Workflow,
)
from support.rehearsal import Rehearsal

ErrorClass = type[InvalidWorkflowError | InvalidTaskError]


@pytest.fixture(scope="module")
def orch() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


def tasks(*names: str) -> list[Task]:
    cast = Rehearsal()
    return [cast.task(name) for name in names]


def using(make: Callable[[Task], object]) -> Workflow:
    """Two tasks, of which the second has an input made with the first."""
    cast = Rehearsal()
    first = cast.task("first", id="t-1")
    return Workflow("w", [first, cast.task("second", given=make(first))])


def of_function(_: dict[str, Any]) -> list[int]:
    return [1]


def of_a_stranger(_: Task) -> Callable[[], Any]:
    (other,) = tasks("x")
    return lambda: other.output


def shared() -> Workflow:
    (task,) = tasks("shared")
    return Workflow("outer", [task, Task(Workflow("inner", [task]), name="part")])


CASES: dict[str, tuple[Callable[[], Workflow], ErrorClass, str]] = {
    "a cycle": (
        lambda: Workflow("w", tasks("a", "b", "c"), {"a": ["b"], "b": ["c"], "c": ["a"]}),
        CycleError,
        "Workflow 'w': its dependencies go in a circle: a -> c -> b -> a",
    ),
    "a cycle by an input": (
        lambda: Workflow("w", [*tasks("a"), Task(len, "{a.output}", name="b")], {"a": ["b"]}),
        CycleError,
        "a -> b -> a",
    ),
    "a task that waits for itself": (
        lambda: Workflow("w", tasks("a"), {"a": ["a"]}),
        CycleError,
        "a -> a",
    ),
    "an unknown dependency": (
        lambda: Workflow("w", tasks("gather", "write"), {"write": ["gathr"]}),
        UnknownDependencyError,
        "task 'write' waits for unknown 'gathr' (did you mean 'gather'?); known: 'gather', 'write'",
    ),
    "an unknown task with dependencies": (
        lambda: Workflow("w", tasks("a"), {"b": ["a"]}),
        UnknownDependencyError,
        "`dependencies` has an entry for unknown 'b'",
    ),
    "an unknown task to map over": (
        lambda: Workflow("w", [*tasks("a"), Task(len, name="m", map="z")]),
        UnknownDependencyError,
        "task 'm' waits for unknown 'z'; known: 'a', 'm'",
    ),
    "a name twice": (
        lambda: Workflow("w", tasks("a", "a")),
        DuplicateTaskError,
        "two of its tasks are named 'a'; give each its own name",
    ),
    "an id twice": (
        lambda: Workflow("w", [Task(len, id="one", name="a"), Task(len, id="one", name="b")]),
        DuplicateTaskError,
        "2 of its tasks have the id 'one'",
    ),
    "no tasks": (
        lambda: Workflow("w", []),
        InvalidWorkflowError,
        "Workflow 'w': it has no tasks; give it at least one",
    ),
    "something that is no task": (
        lambda: Workflow("w", [len]),  # type: ignore[list-item] # that is the point
        InvalidWorkflowError,
        "its tasks are Task objects, not builtin_function_or_method",
    ),
    "a task in two workflows": (
        shared,
        InvalidWorkflowError,
        "'shared' is in workflow 'outer' too",
    ),
    "a lambda that computes": (
        lambda: using(lambda first: lambda: f"Say {first.output.upper()}"),
        InputError,
        ".upper() needs the real output of 'first'",
    ),
    "a lambda that decides": (
        lambda: using(lambda first: lambda: "long" if len(first.output) > 5 else "short"),
        InputError,
        "def build(outputs)",
    ),
    "a lambda that parses": (
        lambda: using(lambda first: lambda: json.loads(first.output)),
        InputError,
        "json.loads() calls too",
    ),
    "a template with an unknown attribute": (
        lambda: using(lambda _: "Use {first.result}"),
        InputError,
        "input names 'result' of task 'first'; only the output of a task can be used: {first.out",
    ),
    "an output of a stranger": (
        lambda: using(of_a_stranger),
        InputError,
        "the output of 'x', which is not in its workflow; add it to the workflow's tasks",
    ),
    "a task as input": (
        lambda: using(lambda first: {"of": [first]}),
        InputError,
        "input['of'][0] is the task 'first'; write `lambda: ...` with its `.output`",
    ),
    "an input that is no JSON": (
        lambda: using(lambda _: {"it": object()}),
        InputError,
        "input['it'] is of type object, which has no JSON form",
    ),
    "a condition that is none": (
        lambda: Workflow("w", [Task(len, name="a", when="yes")]),
        InputError,
        "when= is of type str",
    ),
    "a condition with `and`": (
        lambda: Workflow(
            "w",
            [
                first := Task(len, name="a"),
                Task(len, name="b", when=lambda: first.output == 1 and first.output == 2),
            ],
        ),
        InputError,
        "& | ~",
    ),
    "a map with a function": (
        lambda: Workflow("w", [*tasks("a"), Task(len, of_function, name="m", map="a")]),
        InputError,
        "the input of a map cannot be a function of the outputs",
    ),
    "more needed than there is": (
        lambda: Workflow("w", [*tasks("a"), Task(len, name="b", need=2)], {"b": ["a"]}),
        InvalidWorkflowError,
        "task 'b' needs 2 of 1 dependencies",
    ),
    "cancel_rest without need": (
        lambda: Workflow("w", [Task(len, name="a", cancel_rest=True)]),
        InvalidWorkflowError,
        "'a' has cancel_rest without need=",
    ),
    "on_failure and dependencies": (
        lambda: Workflow(
            "w", [*tasks("a", "b"), Task(len, name="c", on_failure="a")], {"c": ["b"]}
        ),
        InvalidWorkflowError,
        "'c' runs on failure and has dependencies too",
    ),
    "a key": (
        lambda: Workflow("w", [Task(len, name="a", key="k")]),
        InvalidWorkflowError,
        "its task 'a' has a key, which is for single tasks",
    ),
    "a sub-workflow with an input": (
        lambda: Workflow("w", [Task(Workflow("in", tasks("a")), "x", name="part")]),
        InvalidWorkflowError,
        "its task 'part' is a sub-workflow, which takes no input=; give it to the tasks of 'in'",
    ),
    "a sub-workflow with a deadline": (
        lambda: Workflow("w", [Task(Workflow("in", tasks("a"), deadline=5), name="part")]),
        InvalidWorkflowError,
        "its sub-workflow 'in' has a deadline, which only the whole can have",
    ),
    "an empty sub-workflow": (
        lambda: Workflow("w", [Task(Workflow("in"), name="part")]),
        InvalidWorkflowError,
        "Workflow 'in': it has no tasks",
    ),
    "an agent that nobody has": (
        lambda: Workflow("w", [Task(None, name="a")]),
        InvalidTaskError,
        "Task 'a'",
    ),
    "metadata that is no JSON": (
        lambda: Workflow("w", tasks("a"), metadata={"x": object()}),  # type: ignore[dict-item]
        InputError,
        "its metadata cannot be sent as JSON",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_is_refused_and_nothing_is_written(orch: Orchestrator, case: str) -> None:
    build, kind, text = CASES[case]
    workflow = build()
    client = orch._store.client
    before = {key for key in client.scan_iter("pyagent:*") if ":workers" not in key}
    with pytest.raises(kind) as raised:
        orch.submit_workflow(workflow)
    assert text in str(raised.value)
    after = set(client.scan_iter("pyagent:*"))
    assert {key for key in after - before if ":worker" not in key and ":swe" not in key} == set()
    assert client.xlen("pyagent:1:default:events") == 1  # the worker's own
    assert not workflow.is_live
    assert not any(task.is_live for task in workflow.tasks if isinstance(task, Task))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pattern": "magic"}, "there is no execution pattern 'magic'; known: sequential,"),
        ({"deadline": 0}, "deadline 0 is not a number of seconds > 0"),
        ({"deadline": "soon"}, "deadline 'soon' is not a number of seconds"),
        ({"max_rounds": 0}, "max_rounds 0 is not a whole number >= 1"),
        ({"id": "a b"}, "an id is 1 to 200 letters, digits"),
        ({"name": ""}, "its name '' is no text"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_when_it_is_given(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidWorkflowError) as raised:
        Workflow(**{"name": "w", "tasks": tasks("a"), **options})
    assert text in str(raised.value)


def test_a_pattern_given_at_submit_is_checked_there(orch: Orchestrator) -> None:
    workflow = Workflow("w", tasks("a"))
    with pytest.raises(InvalidWorkflowError, match="no execution pattern 'magic'"):
        orch.submit_workflow(workflow, pattern="magic")
    assert orch.submit_workflow(workflow).result(10) == "A"


def test_a_task_that_was_submitted_is_refused_in_another_workflow(orch: Orchestrator) -> None:
    (task,) = tasks("a")
    orch.submit_workflow(Workflow("first", [task])).wait(10)
    with pytest.raises(InvalidWorkflowError, match="'a' has been submitted already; a task is in"):
        orch.submit_workflow(Workflow("second", [task]))


def test_a_taken_task_id_is_refused_and_the_rest_not_written(orch: Orchestrator) -> None:
    orch.submit(Task(len, "x", id="taken-1")).wait(10)
    workflow = Workflow("w", [*tasks("a"), Task(len, id="taken-1", name="b")])
    with pytest.raises(DuplicateTaskError, match="'taken-1' belongs to another task"):
        orch.submit_workflow(workflow)
    assert orch._store.client.exists(f"pyagent:1:default:task:{workflow.tasks[0].id}") == 0


def test_what_was_refused_can_be_mended_and_submitted(orch: Orchestrator) -> None:
    workflow = Workflow("w", tasks("a", "b"), {"a": ["b"], "b": ["a"]})
    with pytest.raises(CycleError):
        orch.submit_workflow(workflow)
    del workflow.dependencies["a"]
    assert orch.submit_workflow(workflow).result(10) == "B"


def test_tasks_named_after_their_agent_are_told_apart(orch: Orchestrator) -> None:
    workflow = Workflow("w", [Task(len, "abc"), Task(len, "ab"), Task(len, "a", name="len 2")])
    orch.submit_workflow(workflow).wait(10)
    assert workflow.outputs == {"len": 3, "len 3": 2, "len 2": 1}
