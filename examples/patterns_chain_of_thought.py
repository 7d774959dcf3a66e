"""One agent takes a problem step by step; each step is recorded, and retried alone.

    python examples/patterns_chain_of_thought.py "Our service is slow"

Runs offline. With a real model: PYAGENT_ORCH_MODEL=openai:gpt-5 (and OPENAI_API_KEY).
"""

from __future__ import annotations

import sys

from pyagent_orch import AgentPatterns, agent, default_orchestrator

STEPS = ["Identify the bottlenecks", "Propose remedies", "Weigh them", "Write the plan"]


def main() -> None:
    """Think, tell."""
    result = AgentPatterns.chain_of_thought(
        problem=" ".join(sys.argv[1:]) or "How should we scale our service to 10x users?",
        reasoner=agent("You are a systems architect"),
        steps=STEPS,
    )
    print(result.reasoning_chain)
    print(f"\nAnswer:\n{result.final_answer}")
    print(f"\n{result.turns} turns, {result.usage}")


if __name__ == "__main__":
    with default_orchestrator():
        main()
