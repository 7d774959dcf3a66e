"""Text is shown while it is written: an answer, and a debate turn by turn.

    python examples/streaming.py "Should AI systems be open-sourced?"

Runs offline, where a model says 20 words a second. With a real model:
PYAGENT_ORCH_MODEL=openai:gpt-5 (and OPENAI_API_KEY).
"""

from __future__ import annotations

import os
import sys

from pyagent_orch import AgentPatterns, TextPiece, agent, default_orchestrator
from pyagent_orch.escape import escape

MODEL = os.environ.get("PYAGENT_ORCH_MODEL", "offline:20")


def show(piece: TextPiece) -> None:
    """Print a piece; where a text begins, on a line of its own."""
    if piece.offset == 0:
        print(f"\n--- {piece.task_id}, attempt {piece.attempt}")
    print(escape(piece.text, lines=True), end="", flush=True)


def main() -> None:
    """Answer, then debate."""
    question = " ".join(sys.argv[1:]) or "Should AI systems be open-sourced?"
    task = default_orchestrator().submit(agent("Answer in a paragraph", model=MODEL), question)
    for piece in task.stream():
        show(piece)
    result = AgentPatterns.debate(
        question,
        agent("Argue for it", model=MODEL, name="Ann"),
        agent("Argue against it", model=MODEL, name="Bob"),
        agent("Judge the debate fairly", name="Judge"),
        rounds=1,
        on_text=show,
    )
    print(f"\n\nWinner: {result.winner}")


if __name__ == "__main__":
    with default_orchestrator():
        main()
