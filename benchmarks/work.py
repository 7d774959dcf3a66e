"""What the tasks of every contender get and do: nothing, or wait for a gate.

Standard library only: every contender's worker imports it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

GATE_SECONDS = 120.0
"""How long a gate is waited for at the most."""


def text_of(number: int) -> str:
    """The input of a no-op task: a short text, as agents get."""
    return f"Summarise item {number} in one sentence."


def small_result(text: str) -> dict[str, int]:
    """The output of a no-op task."""
    return {"length": len(text)}


def hold_until(gate: str) -> None:
    """Leave a file that says that this slot waits, and wait until the gate's file exists.

    Raises:
        TimeoutError: it does not after `GATE_SECONDS`.
    """
    Path(f"{gate}.held.{os.getpid()}.{threading.get_ident()}").touch()
    deadline = time.monotonic() + GATE_SECONDS
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(gate)
        time.sleep(0.002)
