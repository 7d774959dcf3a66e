"""Flows that wait for some of their turns, go on waiting for the rest, or for a clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pyagent_orch import Orchestrator, Task, TaskStatus, Workflow
from pyagent_orch.states import WorkflowStatus
from pyagent_orch.workflows import Done, Expand, Flow, FlowCall, Turn
from pyagent_orch.workflows.flows import STEPS, Step
from support.fleet import until


class Gate:
    """An agent whose turns wait until the test lets them go on."""

    def __init__(self) -> None:
        self._open: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def _event(self, name: str) -> threading.Event:
        with self._lock:
            return self._open.setdefault(name, threading.Event())

    def open(self, name: str) -> None:
        self._event(name).set()

    def __call__(self, name: str) -> str:
        assert self._event(name).wait(20), f"{name} was never opened"
        if name.startswith("bad"):
            raise ValueError(name)
        return name


@pytest.fixture
def run(
    embedded: Callable[..., Orchestrator],
) -> Iterator[Callable[..., tuple[Orchestrator, Workflow, Gate]]]:
    """Runs a step function as the one task of a workflow."""
    gate = Gate()

    def start(step: Step, **options: object) -> tuple[Orchestrator, Workflow, Gate]:
        STEPS["of a test"] = step
        orch = embedded()
        task = Task(Flow("of a test", {}, {"": gate}), name="flow", **options)  # type: ignore[arg-type]
        return orch, orch.submit_workflow(Workflow(tasks=[task])), gate

    yield start
    STEPS.pop("of a test", None)


def turns(*names: str) -> tuple[Turn, ...]:
    return tuple(Turn(name, "", name) for name in names)


def final(call: FlowCall) -> list[str]:
    return sorted(name for name, one in call.outcomes.items() if one.status.is_final)


def test_a_flow_is_called_when_so_many_are_final_and_goes_on_with_those_it_keeps(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    seen: list[list[str]] = []
    called = threading.Semaphore(0)

    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("a", "b", "c"), 1, "settled:1")
        seen.append(final(call))
        called.release()
        if len(seen) == 3:
            return Done(call.outputs())
        return Expand((), 1, f"settled:{len(seen[-1]) + 1}", keep=("a", "b", "c"))

    _, workflow, gate = run(step)
    for count, name in enumerate(["b", "a", "c"], 1):
        gate.open(name)
        assert called.acquire(timeout=10)
        assert len(seen) == count
    assert workflow.result(timeout=10) == {"a": "a", "b": "b", "c": "c"}
    assert seen == [["b"], ["a", "b"], ["a", "b", "c"]]


def test_what_became_final_while_the_flow_ran_is_counted_once(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    orchestrators: list[Orchestrator] = []
    gates: list[Gate] = []
    ready = threading.Event()
    calls: list[list[str]] = []

    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("a", "b", "c"), 1, "settled:1")
        calls.append(final(call))
        if len(calls) == 1:
            # The others end while this step runs, so that no join of theirs can start it.
            assert ready.wait(10)
            for name in ("b", "c"):
                gates[0].open(name)
                orchestrators[0].get_task(f"{call.task_id}.0.{'abc'.index(name)}").wait(10)
            return Expand((), 1, "settled:3", keep=("a", "b", "c"))
        return Done("end")

    orch, workflow, gate = run(step)
    orchestrators.append(orch)
    gates.append(gate)
    ready.set()
    gate.open("a")
    assert workflow.result(timeout=20) == "end"
    assert calls[-1] == ["a", "b", "c"]


def test_a_turn_that_was_not_kept_does_not_count_for_what_comes_next(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    calls: list[list[str]] = []

    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("a", "left behind"), 1, "settled:1")
        calls.append(final(call))
        if len(calls) == 1:
            return Expand(turns("c", "d"), 1)
        return Done(call.outputs())

    orch, workflow, gate = run(step)
    gate.open("a")
    flow = workflow.tasks[0].id
    until(lambda: len(orch.get_workflow(workflow.id).tasks) == 5)
    gate.open("left behind")
    orch.get_task(f"{flow}.0.1").wait(10)
    gate.open("c")
    orch.get_task(f"{flow}.1.0").wait(10)
    assert orch.status(flow) is TaskStatus.PENDING
    gate.open("d")
    assert workflow.result(timeout=10) == {"c": "c", "d": "d"}
    assert len(calls) == 2


def test_turns_that_run_when_the_flow_is_done_are_cancelled(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("a", "b"), 1, "settled:1")
        return Done(final(call))

    orch, workflow, gate = run(step)
    gate.open("a")
    assert workflow.result(timeout=10) == ["a"]
    assert workflow.status is WorkflowStatus.COMPLETED
    assert orch.status(f"{workflow.tasks[0].id}.0.1") is TaskStatus.CANCELLED
    gate.open("b")


def test_a_turn_that_fails_is_the_flows_business_where_it_does_not_need_all(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("bad", "good"), 1, "settled:2")
        return Done({name: one.status.value for name, one in call.outcomes.items()})

    _, workflow, gate = run(step)
    gate.open("bad")
    gate.open("good")
    assert workflow.result(timeout=10) == {"bad": "failed", "good": "completed"}
    assert workflow.status is WorkflowStatus.COMPLETED
    assert workflow.error is None


def test_a_kept_turn_that_has_failed_fails_a_flow_that_needs_all(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    def step(call: FlowCall) -> Expand | Done:
        if call.state is None:
            return Expand(turns("bad", "good"), 1, "settled:1")
        return Expand((), 1, keep=("bad", "good"))

    orch, workflow, gate = run(step)
    gate.open("bad")
    workflow.wait(timeout=10)
    assert workflow.status is WorkflowStatus.FAILED
    assert "bad failed: ValueError" in str(workflow.error)
    assert orch.status(f"{workflow.tasks[0].id}.0.1") is TaskStatus.CANCELLED
    gate.open("good")


def test_a_clock_calls_the_flow_while_its_turns_run_and_only_then(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    calls: list[tuple[float, list[str]]] = []

    def step(call: FlowCall) -> Expand | Done:
        calls.append((call.elapsed, final(call)))
        if call.state is None:
            return Expand(turns("a", "b"), 1, wake=0.5)
        if len(calls) == 2:
            # No clock any more: the rest is waited for.
            return Expand((), 1, keep=("a", "b"))
        return Done(call.outputs())

    _, workflow, gate = run(step)
    gate.open("a")
    until(lambda: len(calls) == 2)
    gate.open("b")
    assert workflow.result(timeout=10) == {"a": "a", "b": "b"}
    assert [done for _, done in calls] == [[], ["a"], ["a", "b"]]
    assert 0.5 <= calls[1][0] < 5


def test_a_clock_that_is_not_needed_any_more_is_gone(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    calls: list[list[str]] = []

    def step(call: FlowCall) -> Expand | Done:
        calls.append(final(call))
        if call.state is None:
            return Expand(turns("a"), 1, wake=0.6)
        if len(calls) == 2:
            return Expand(turns("b"), 2)
        return Done("end")

    _, workflow, gate = run(step)
    gate.open("a")
    until(lambda: len(calls) == 2)
    time.sleep(1.2)  # The clock would have struck by now.
    assert calls == [[], ["a"]]
    gate.open("b")
    assert workflow.result(timeout=10) == "end"


def test_the_delay_of_a_flow_is_waited_for_once(
    run: Callable[..., tuple[Orchestrator, Workflow, Gate]],
) -> None:
    def step(call: FlowCall) -> Expand | Done:
        number = call.state or 0
        if number == 3:
            return Done("end")
        return Expand(turns("a"), number + 1)

    before = time.monotonic()
    _, workflow, gate = run(step, delay=1.0)
    gate.open("a")
    assert workflow.result(timeout=20) == "end"
    assert 1.0 <= time.monotonic() - before < 3.0
