"""Two agents argue, a third one judges; the judge may end it when it is sure.

    python examples/patterns_debate.py "Should AI systems be open-sourced?"

Runs offline. With a real model: PYAGENT_ORCH_MODEL=openai:gpt-5 (and OPENAI_API_KEY).
"""

from __future__ import annotations

import sys

from pyagent_orch import AgentPatterns, agent, default_orchestrator


def main() -> None:
    """Debate, judge, tell."""
    result = AgentPatterns.debate(
        topic=" ".join(sys.argv[1:]) or "Should AI systems be open-sourced?",
        pro_agent=agent("Argue for it, in three sentences", name="Ann"),
        con_agent=agent("Argue against it, in three sentences", name="Bob"),
        judge=agent("Judge the debate fairly", name="Judge"),
        rounds=3,
        sure_at=0.95,
    )
    print(result.transcript)
    print(f"\nWinner after {result.rounds} rounds: {result.winner}\n{result.final_verdict}")
    print(f"\n{result.turns} turns, {result.usage}")


if __name__ == "__main__":
    with default_orchestrator():
        main()
