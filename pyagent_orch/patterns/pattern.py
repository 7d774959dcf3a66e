"""What the patterns share: how agents are named and asked, and how a run ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from typing_extensions import TypeVar

from pyagent_orch.agents import Agent
from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.checks import is_whole, shown
from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns.answers import clean, number_in
from pyagent_orch.patterns.limits import Ledger, Limit
from pyagent_orch.patterns.results import PatternResult
from pyagent_orch.workflows import Done, Flow, FlowCall
from pyagent_orch.workflows.flows import Outcome

R_co = TypeVar("R_co", bound=PatternResult, covariant=True, default=PatternResult)


@runtime_checkable
class Pattern(Protocol[R_co]):
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

    def read(self, output: JSONValue) -> R_co:
        """The result that the output of its task is."""
        ...


def answering(agent: object, schema: Mapping[str, Any]) -> object:
    """A model agent that answers by a schema, unless it has one; anything else as it is.

    A model that cannot be brought to it may answer in prose, which is read as a function's is.
    """
    if isinstance(agent, Agent) and agent.output_schema is None:
        return agent.model_copy(update={"output_schema": dict(schema), "text_instead": True})
    return agent


def names_of(agents: Iterable[object]) -> list[str]:
    """Names for people, each different from the others."""
    names: list[str] = []
    for place, agent in enumerate(agents, 1):
        # One line: names stand at the head of what their agents said.
        name = base = " ".join(clean(_name_of(agent) or "", 200).split()) or f"agent {place}"
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
    if isinstance(agents, str | Agent | Mapping) or not isinstance(agents, Iterable):
        raise InvalidWorkflowError(pattern, "its agents are a list of agents")
    found = tuple(agents)
    if not found:
        raise InvalidWorkflowError(pattern, "it needs at least one agent")
    return found


def check(pattern: str, argument: str, value: object, wanted: str, *, fits: bool) -> None:
    """Refuse an argument that does not fit.

    Raises:
        InvalidWorkflowError: it does not; names it.
    """
    if not fits:
        raise InvalidWorkflowError(pattern, f"{argument} {shown(value)} is not {wanted}")


def check_whole(pattern: str, argument: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number within bounds.

    Raises:
        InvalidWorkflowError: it is none; names the argument.
    """
    fits = is_whole(value) and number_in(value, least, most) is not None
    check(pattern, argument, value, f"a whole number from {least} to {most}", fits=fits)


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
            "usage": ledger.total(call),
            "turns": ledger.turns,
            "stopped_by": stopped_by,
            "workflow_id": call.workflow_id,
        }
    )
    return Done(full.model_dump(mode="json"))
