"""Fault points: places at which a test has a process die, as a crash would.

`PYAGENT_ORCH_FAULT=after_claim:/path/flag` kills the process with SIGKILL at the
first `after_claim` that finds the file, which it removes first: so a fault
happens once for each flag, in whichever process comes first. Unset, a point
costs a comparison.
"""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

VARIABLE = "PYAGENT_ORCH_FAULT"


def fault_point(name: str) -> None:
    """Die here, if a test wants it."""
    wanted = _wanted()
    if wanted is not None and wanted[0] == name:
        _die_once(wanted[1])


@cache
def _wanted() -> tuple[str, Path] | None:
    name, _, flag = os.environ.get(VARIABLE, "").partition(":")
    return (name, Path(flag)) if name and flag else None


def _die_once(flag: Path) -> None:
    try:
        flag.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
