"""The guard of a stack: ends its programs when their parent was killed.

A program of its own, run as `python -I -S guard.py`; standard library only. Its parent writes
`+GROUP` and `-GROUP` lines for the process groups that it has; when the pipe ends, the
parent has, in whatever way, and what is left of them is ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

KILL_SECONDS = 8.0
"""How long they may take before they are killed."""


def main() -> None:
    """Watch until the pipe ends, then end what is left."""
    # The parent's terminal and supervisor mean the parent, whose end is told by the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


def end(groups: set[int]) -> None:
    """End process groups: politely, then by force."""
    deadline = time.monotonic() + KILL_SECONDS
    _signal(groups, signal.SIGTERM)
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = {group for group in groups if _is_there(group)}
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # On macOS, of what has ended and was not waited for.
        return False
    return True


if __name__ == "__main__":
    main()
