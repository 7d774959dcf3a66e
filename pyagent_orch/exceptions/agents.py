"""What an agent, or the model behind it, raises.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations

from pyagent_orch.exceptions.root import PyAgentOrchError


class AgentError(PyAgentOrchError):
    """An agent cannot do its work.

    Args:
        agent: the agent's name.
        problem: what is wrong.
    """

    def __init__(self, agent: str, problem: str) -> None:
        super().__init__(agent, problem)
        self.agent, self.problem = agent, problem

    def __str__(self) -> str:
        return f"Agent {self.agent!r}: {self.problem}"


class NoPlanError(AgentError):
    """A supervisor gave no plan that can be carried out.

    Args:
        agent: the supervisor's name.
        tries: how often it was asked.
        problem: what was wrong with the last plan.
    """

    def __init__(self, agent: str, tries: int, problem: str) -> None:
        super().__init__(agent, problem)
        self.args = (agent, tries, problem)
        self.tries = tries

    def __str__(self) -> str:
        return f"{self.agent!r} gave no usable plan in {self.tries} tries; the last: {self.problem}"


class ModelError(AgentError):
    """A model call failed in a way that another attempt may mend."""


class ModelRequestError(AgentError):
    """A model refused the call for good: bad request, bad key, unknown model."""


class RateLimitedError(ModelError):
    """A model's provider said 429; obeying its delay uses up no attempt.

    Args:
        agent: the agent's name.
        problem: what the provider said.
        retry_after: seconds to wait, >= 0.
    """

    def __init__(self, agent: str, problem: str, retry_after: float = 1.0) -> None:
        PyAgentOrchError.__init__(self, agent, problem, retry_after)
        self.agent, self.problem, self.retry_after = agent, problem, retry_after
