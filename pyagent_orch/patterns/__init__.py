"""Agents that work together: supervisor, consensus, debate, chain of thought.

Each pattern is a flow: a pure step function that says which turns come next. Above
the workflows, below everything that knows Redis or Celery. Importing the room lets
this process make the steps.
"""

from pyagent_orch.patterns.ballots import Ballot
from pyagent_orch.patterns.chain_of_thought import ChainOfThought
from pyagent_orch.patterns.consensus import Consensus
from pyagent_orch.patterns.debate import Debate
from pyagent_orch.patterns.limits import Limits
from pyagent_orch.patterns.pattern import Pattern
from pyagent_orch.patterns.results import (
    ChainOfThoughtResult,
    ConsensusResult,
    DebateResult,
    Delegation,
    PatternResult,
    Speech,
    SupervisorResult,
    Thought,
)
from pyagent_orch.patterns.supervisor import Supervisor

__all__ = [
    "Ballot",
    "ChainOfThought",
    "ChainOfThoughtResult",
    "Consensus",
    "ConsensusResult",
    "Debate",
    "DebateResult",
    "Delegation",
    "Limits",
    "Pattern",
    "PatternResult",
    "Speech",
    "Supervisor",
    "SupervisorResult",
    "Thought",
]
