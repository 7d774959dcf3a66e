"""Takes a pattern step by step, with answers from a function: no engine, no Redis.

What an engine adds (records, crashes, time) is the integration tests' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns import Pattern, PatternResult
from pyagent_orch.states import TaskStatus
from pyagent_orch.workflows import Done, FlowCall, Turn, run_flow
from pyagent_orch.workflows.flows import Outcome

Answer = Callable[[Turn], JSONValue]


@dataclass
class Rounds:
    """One run of a pattern.

    Args:
        pattern: what to run.
        answer: gives the answer of a turn; one that raises has failed.
        usage: what each turn costs.
    """

    pattern: Pattern
    answer: Answer
    usage: Usage | None = None
    elapsed: float = 0.0
    turns: list[Turn] = field(default_factory=list)
    """What was asked, in order."""
    left_running: list[str] = field(default_factory=list)

    def run(self, question: JSONValue = "Shall we?") -> Any:
        """Run it to its end; the result."""
        flow = self.pattern.to_flow()
        state: Any = None
        outcomes: dict[str, Outcome] = {}
        for step in range(1000):
            call = FlowCall(
                "t1", self.pattern.name, flow.spec, question, state, outcomes, self.elapsed, "w1"
            )
            answer = run_flow(flow.name, call)
            if isinstance(answer, Done):
                self.left_running = [n for n, one in outcomes.items() if not one.status.is_final]
                result = self.pattern.read(answer.output)
                assert isinstance(result, PatternResult)
                return result
            state = answer.state
            kept = {name: outcomes[name] for name in answer.keep}
            new = {turn.name: turn for turn in answer.turns}
            assert len(new) == len(answer.turns), "two turns of one step share a name"
            assert all(turn.agent in flow.agents for turn in answer.turns)
            outcomes = kept | {
                name: Outcome(f"t1.{step}.{name}", TaskStatus.PENDING) for name in new
            }
            self.turns += answer.turns
            self._finish(outcomes, answer.need)
        raise AssertionError("it never ends")

    def _finish(self, outcomes: dict[str, Outcome], need: str) -> None:
        wanted = len(outcomes)
        if need.startswith("settled:"):
            wanted = min(wanted, int(need.removeprefix("settled:")))
        asked = {turn.name: turn for turn in self.turns}
        for name, one in list(outcomes.items()):
            if sum(other.status.is_final for other in outcomes.values()) >= wanted:
                return
            if one.status.is_final:
                continue
            outcomes[name] = self._outcome(one, asked[name], need)

    def _outcome(self, one: Outcome, turn: Turn, need: str) -> Outcome:
        try:
            output = self.answer(turn)
        except ValueError as error:
            if not need:
                raise AgentError(turn.name, str(error)) from error
            told: JSONValue = {"type": "ValueError", "message": str(error)}
            return Outcome(one.id, TaskStatus.FAILED, told)
        return Outcome(one.id, TaskStatus.COMPLETED, output, self.usage)


def names(rounds: Rounds) -> list[str]:
    """The names of all turns, in order."""
    return [turn.name for turn in rounds.turns]
