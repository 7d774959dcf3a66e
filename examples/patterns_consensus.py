"""Experts vote on a change; whoever cannot change the decision any more is not asked further.

    python examples/patterns_consensus.py "Should we rewrite it in Rust?"

Runs offline. With a real model: PYAGENT_ORCH_MODEL=openai:gpt-5 (and OPENAI_API_KEY).
"""

from __future__ import annotations

import sys

from pyagent_orch import AgentPatterns, agent, default_orchestrator


def main() -> None:
    """Ask, vote, tell."""
    question = " ".join(sys.argv[1:]) or "Should we approve this feature?"
    experts = [
        agent("You are a security expert"),
        agent("You are a performance expert"),
        agent("You are a UX expert"),
    ]
    result = AgentPatterns.consensus(question, experts, threshold=0.66, limits={"seconds": 120})
    print(f"{question} -> {result.decision} ({result.agreement:.0%} agree)")
    print(result.votes)
    if result.not_needed:
        print("not needed:", ", ".join(result.not_needed))
    print(f"{result.turns} turns, {result.usage}")


if __name__ == "__main__":
    with default_orchestrator():
        main()
