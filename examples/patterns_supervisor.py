"""A supervisor plans, a team works in parallel where it can, the supervisor reviews and answers.

    python examples/patterns_supervisor.py "A report on AI trends"

Runs offline. With a real model: PYAGENT_ORCH_MODEL=openai:gpt-5 (and OPENAI_API_KEY).
"""

from __future__ import annotations

import sys

from pyagent_orch import AgentPatterns, agent, default_orchestrator


def main() -> None:
    """Delegate, review, tell."""
    result = AgentPatterns.supervisor(
        task=" ".join(sys.argv[1:]) or "Write a research report on AI trends",
        agents=[
            agent("You are a research specialist"),
            agent("You are a content writer"),
            agent("You are an editor"),
        ],
        supervisor_instructions="Coordinate the team to produce a report",
        limits={"turns": 20, "seconds": 300},
    )
    print(result.delegations)
    print(f"\nFinal answer:\n{result.output}")
    print(f"\n{result.turns} turns, {result.usage}")
    workflow = default_orchestrator().get_workflow(result.workflow_id)
    for task in workflow.tasks:
        print(f"  {task.status.name:<10} {task.name}")


if __name__ == "__main__":
    with default_orchestrator():
        main()
