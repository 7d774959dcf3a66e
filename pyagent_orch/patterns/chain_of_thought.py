"""Chain of thought: one agent takes a problem step by step.

The pattern and its step function. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.checks import is_text
from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns.answers import quoted, text_of
from pyagent_orch.patterns.limits import Ledger, Limit, Limits, wake_after
from pyagent_orch.patterns.pattern import done
from pyagent_orch.patterns.results import ChainOfThoughtResult, Thought
from pyagent_orch.workflows import Done, Expand, Flow, FlowCall, Turn
from pyagent_orch.workflows.flows import STEPS

MOST_STEPS = 100
_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class ChainOfThought:
    """Reasoning in steps, as the agent of a task whose input is the problem.

    Args:
        reasoner: thinks; each step is a turn of its own, that sees the problem and the
            steps before.
        steps: what to think about, 1 to 100 texts; the last one gives the answer.
        limits: what ends the run early, with the last thought there is.

    Raises:
        InvalidWorkflowError: the steps are no list of texts.
    """

    reasoner: object
    steps: Sequence[str]
    limits: Limits | Mapping[str, Any] | None = None
    name: str = "chain of thought"

    def __post_init__(self) -> None:
        self.spec  # noqa: B018 - refused here, not when it is submitted

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The flow's settings."""
        listed = isinstance(self.steps, Iterable) and not isinstance(self.steps, str | Mapping)
        steps = list(self.steps) if listed else []
        if not 1 <= len(steps) <= MOST_STEPS or not all(is_text(step) for step in steps):
            raise InvalidWorkflowError(self.name, f"its steps are 1 to {MOST_STEPS} texts")
        limits = Limits.of(self.name, self.limits)
        return {"steps": steps, "limits": limits.model_dump(exclude_none=True)}

    def to_flow(self) -> Flow:
        """The flow that runs it."""
        return Flow("chain_of_thought", self.spec, {"": self.reasoner})

    def read(self, output: JSONValue) -> ChainOfThoughtResult:
        """The result that the output of its task is."""
        return ChainOfThoughtResult.model_validate(output)


def chain_step(call: FlowCall) -> Expand | Done:
    """Note the last thought, and ask for the next."""
    ledger = Ledger.of(call)
    limits = Limits(**call.spec["limits"])
    steps: list[str] = call.spec["steps"]
    thoughts: list[Any] = list((call.state or {}).get("thoughts", ()))
    if call.state is not None:
        turn = next(iter(call.outcomes.values()))
        if not turn.completed:
            # It was woken by the clock.
            return _end(call, ledger, thoughts, "seconds")
        number = len(thoughts) + 1
        thought = Thought(number=number, step=steps[number - 1], thought=text_of(turn.output))
        thoughts.append(thought.model_dump(mode="json"))
    number = len(thoughts) + 1
    if number > len(steps):
        return _end(call, ledger, thoughts, None)
    reached = ledger.reached(limits, call.elapsed)
    if reached is not None:
        return _end(call, ledger, thoughts, reached)
    label = " ".join(steps[number - 1].split())
    label = label if len(label) <= _SHOWN else f"{label[: _SHOWN - 3]}..."
    turn_ = Turn(
        f"{number}. {label}",
        "",
        _request(call, thoughts, number),
        metadata={"pattern": "chain_of_thought", "step": number},
    )
    ledger = ledger.model_copy(update={"turns": ledger.turns + 1})
    return Expand(
        (turn_,),
        {"thoughts": thoughts, "ledger": ledger.dump()},
        wake=wake_after(limits, call.elapsed),
    )


def _request(call: FlowCall, thoughts: Sequence[Mapping[str, Any]], number: int) -> str:
    steps = call.spec["steps"]
    parts = [f"The problem:\n{text_of(call.input)}"]
    if thoughts:
        so_far = "\n\n".join(
            f"## Step {one['number']}: {one['step']}\n{quoted(one['thought'])}" for one in thoughts
        )
        parts.append(f"Your steps so far:\n\n{so_far}")
    last = " It is the last one: end with the complete answer." if number == len(steps) else ""
    parts.append(
        f"Now take step {number} of {len(steps)}, and only this one: {steps[number - 1]}.{last}"
    )
    return "\n\n".join(parts)


def _end(
    call: FlowCall, ledger: Ledger, thoughts: Sequence[Mapping[str, Any]], stopped: Limit | None
) -> Done:
    chain = [Thought.model_validate(one) for one in thoughts]
    answer = chain[-1].thought if chain else ""
    return done(
        call, ledger, ChainOfThoughtResult(final_answer=answer, reasoning_chain=chain), stopped
    )


STEPS["chain_of_thought"] = chain_step
