"""What the patterns share: how agents are named and asked, and how a run ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from pyagent_orch.agents import Agent
from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns.answers import clean
from pyagent_orch.patterns.limits import Ledger, Limit
from pyagent_orch.patterns.results import PatternResult
from pyagent_orch.workflows import Done, Flow, FlowCall
from pyagent_orch.workflows.flows import Outcome


@runtime_checkable
class Pattern(Protocol):
    """Several agents that work together, as the agent of one task in a workflow.

    The task's input is the question, and its output the result as JSON.
    """

    @property
    def name(self) -> str:
        """For people."""
        ...

    def to_flow(self) -> Flow:
        """The flow that runs it."""
        ...

    def read(self, output: JSONValue) -> PatternResult:
        """The result that the output of its task is."""
        ...


def answering(agent: object, schema: Mapping[str, Any]) -> object:
    """A model agent that answers by a schema, unless it has one; anything else as it is."""
    if isinstance(agent, Agent) and agent.output_schema is None:
        return agent.model_copy(update={"output_schema": dict(schema)})
    return agent


def names_of(agents: Iterable[object]) -> list[str]:
    """Names for people, each different from the others."""
    names: list[str] = []
    for place, agent in enumerate(agents, 1):
        name = base = clean(_name_of(agent) or f"agent {place}", 200)
        number = 1
        while name in names:
            number += 1
            name = f"{base} {number}"
        names.append(name)
    return names


def _name_of(agent: object) -> str | None:
    if isinstance(agent, str):
        return agent.rpartition(":")[2]
    name = getattr(agent, "name", None) or getattr(agent, "__name__", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def is_model(agent: object) -> bool:
    """Whether it is a model that is asked in words; else it is a function."""
    return isinstance(agent, Agent)


def checked_agents(pattern: str, agents: Iterable[object]) -> tuple[object, ...]:
    """The agents of a pattern; at least one.

    Raises:
        InvalidWorkflowError: there is none, or it is one agent and not a list.
    """
    if isinstance(agents, str | Agent) or not isinstance(agents, Iterable):
        raise InvalidWorkflowError(pattern, "its agents are a list of agents")
    found = tuple(agents)
    if not found:
        raise InvalidWorkflowError(pattern, "it needs at least one agent")
    return found


def error_of(outcome: Outcome) -> str:
    """Why a turn has no output, in words."""
    error = outcome.output
    if isinstance(error, dict) and "message" in error:
        return clean(f"{outcome.status.value}: {error.get('type')}: {error['message']}", 400)
    return outcome.status.value


def done(
    call: FlowCall, ledger: Ledger, result: PatternResult, stopped_by: Limit | None = None
) -> Done:
    """The end of a run: its result with what it took."""
    full = result.model_copy(
        update={
            "usage": ledger.usage,
            "turns": ledger.turns,
            "stopped_by": stopped_by,
            "workflow_id": call.workflow_id,
        }
    )
    return Done(full.model_dump(mode="json"))
