"""Flows: tasks that decide at run time which tasks come next.

A flow is a pure step function. It is called when what it waits for is recorded,
and says either its output or which turns to run before it is called again. So
it holds no worker while it waits, and a crash repeats no turn: the turns are
tasks with records of their own, and its state is in its record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyagent_orch.exceptions import AgentError
from pyagent_orch.inputs import render_input
from pyagent_orch.models.checks import SETTLED
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue, to_json
from pyagent_orch.states import TaskStatus


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as the agent of a task.

    Args:
        name: the step function.
        spec: its settings, JSON.
        agents: maps labels to the agents that its turns use.
    """

    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    agents: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task that a flow waited for ended."""

    id: str
    status: TaskStatus
    output: JSONValue = None
    """Of one that failed: its error, as `{"type": ..., "message": ...}`."""
    usage: Usage | None = None

    @property
    def completed(self) -> bool:
        """Whether there is an output."""
        return self.status is TaskStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class FlowCall:
    """What a step function is given."""

    task_id: str
    name: str
    spec: Mapping[str, Any]
    input: JSONValue
    state: Any
    """What the step before left; None at the first."""
    outcomes: Mapping[str, Outcome]
    """Maps the names of the tasks that were waited for to how they ended, or to how far
    they are where the flow did not wait for their end."""
    elapsed: float = 0.0
    """Seconds since the flow first started, by Redis' clock."""
    workflow_id: str = ""

    def outputs(self) -> dict[str, JSONValue]:
        """The outputs of those that completed, by name."""
        return {name: one.output for name, one in self.outcomes.items() if one.completed}


@dataclass(frozen=True, slots=True)
class Turn:
    """A task that a flow wants to be run.

    Args:
        name: unique among the turns of the step.
        agent: a label of the flow's agents.
        input: JSON.
        after: names of turns of this step that it waits for, and whose outputs it sees.
        metadata: JSON that stays with the task.
    """

    name: str
    agent: str
    input: JSONValue
    after: tuple[str, ...] = ()
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expand:
    """Run these turns, then call the flow again.

    Args:
        turns: what to run.
        state: what the next step is given, JSON.
        need: empty: all turns must complete, else the flow fails; a number: so many; or
            `settled`: all are final, in whichever state; or `settled:3`: so many are.
        cancel_rest: with a number: cancel the turns that are not needed any more.
        keep: names of tasks that this step was given, to be waited for and given again; they
            count for `need`.
        wake: seconds after which the flow is called even so, >= 0; None: it waits.

    Turns that still run when a flow is done are cancelled if it waited with `settled:3` or `wake`.
    """

    turns: tuple[Turn, ...]
    state: JSONValue = None
    need: str = ""
    cancel_rest: bool = False
    keep: tuple[str, ...] = ()
    wake: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The flow has come to its output."""

    output: JSONValue


Step = Callable[[FlowCall], Expand | Done]


class HasFlow(Protocol):
    """What can be a task's agent because it becomes a flow, such as the patterns."""

    def to_flow(self) -> Flow:
        """The flow that does its work."""
        ...


def as_flow(agent: object) -> object:
    """The flow of an agent that becomes one; any other agent as it is."""
    to_flow = getattr(agent, "to_flow", None)
    return to_flow() if to_flow is not None else agent


def _gather(call: FlowCall) -> Done:
    """The end of a sub-workflow: the output of its last task, or a dict of the last ones."""
    names: Mapping[str, str] = call.spec["names"]
    outputs = {names.get(one.id, name): one.output for name, one in call.outcomes.items()}
    return Done(next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs))


def _map(call: FlowCall) -> Expand | Done:
    """An agent over the list that a task produced; the answers in the order of the items."""
    if call.state is None:
        source = next(
            (one for one in call.outcomes.values() if one.id == call.spec["source"]),
            next(iter(call.outcomes.values())),
        )
        items = source.output
        if not isinstance(items, list):
            raise AgentError(
                call.name, f"it maps over a list, but was given {type(items).__name__}: "
                f"{to_json(items)[:100]}",
            )  # fmt: skip
        if not items:
            return Done([])
        need = call.spec.get("need")
        return Expand(
            tuple(
                Turn(f"{call.name}[{place}]", "agent", given)
                for place, given in enumerate(_inputs(call, items))
            ),
            state={"items": len(items)},
            need=need or "" if need in (None, SETTLED) else str(min(need, len(items))),
            cancel_rest=bool(call.spec.get("cancel_rest")),
        )
    answers = [call.outcomes.get(f"{call.name}[{place}]") for place in range(call.state["items"])]
    return Done([one.output for one in answers if one is not None and one.completed])


def _inputs(call: FlowCall, items: Iterable[JSONValue]) -> Iterator[JSONValue]:
    """The input of each turn of a map."""
    node = json.loads(call.spec["input"])
    outputs = {one.id: one.output for one in call.outcomes.values() if one.completed}
    names = {one.id: name for name, one in call.outcomes.items()}
    for item in items:
        if "v" in node:
            yield item if node["v"] is None else fill_item(node["v"], item)
        else:
            # First the item, then the outputs: an output that holds `{item}` stays as it is.
            yield render_input(to_json(_fill_node(node, item)), outputs, names, _refused)


def _fill_node(node: Any, item: JSONValue) -> Any:
    ((kind, content),) = node.items()
    if kind == "v":
        return {"v": fill_item(content, item)}
    if kind == "t":
        return {"t": [fill_text(p, item) if isinstance(p, str) else p for p in content]}
    if kind == "l":
        return {"l": [_fill_node(part, item) for part in content]}
    if kind == "d":
        return {"d": {key: _fill_node(part, item) for key, part in content.items()}}
    return node


def _refused(path: str, _: dict[str, JSONValue]) -> JSONValue:
    raise AgentError(path, "the input of a map cannot be a function of the outputs")


def fill_text(text: str, item: JSONValue) -> str:
    """Put an item of a list into a text."""
    return text.replace("{item}", item if isinstance(item, str) else to_json(item))


def fill_item(template: JSONValue, item: JSONValue) -> JSONValue:
    """Put an item of a list into the input of its turn."""
    if isinstance(template, str):
        if template == "{item}":
            return item
        return fill_text(template, item)
    if isinstance(template, list):
        return [fill_item(part, item) for part in template]
    if isinstance(template, dict):
        return {key: fill_item(part, item) for key, part in template.items()}
    return template


STEPS: dict[str, Step] = {"gather": _gather, "map": _map}
"""Maps the names of flows to their step functions; more are added by the rooms that have them."""


def run_flow(name: str, call: FlowCall) -> Expand | Done:
    """Make one step.

    Raises:
        AgentError: this release has no such flow, or the step cannot go on.
    """
    step = STEPS.get(name)
    if step is None:
        raise AgentError(call.name, f"this worker's release has no flow {name!r}; upgrade it")
    return step(call)
