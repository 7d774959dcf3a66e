"""Claimed tasks that wait in a worker for a free slot, while its tasks are short.

A slot that is free has to wait for the next take, which for tasks of milliseconds is as
long as they are themselves. So a worker whose last tasks were all that short takes a few
more than it can run at once, and what finishes is followed at once. A task waits so for
`AHEAD_SECONDS`; when it turns out otherwise (the tasks before it are long) it goes back
to the queue, for whoever is free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyagent_orch.engine.claimed import ClaimedRequest

AHEAD_SECONDS = 0.05
"""How long a task may be expected to wait here."""
MOST_PER_SLOT = 3
"""How many may wait for each slot; with the one that runs, as many as Celery prefetches."""
KEPT_SECONDS = 0.5
"""What has waited for so long goes back at the next heartbeat."""
_FADES = 0.95
"""How fast a long run is forgotten: one of a second after some sixty short ones."""
_UNKNOWN = 1.0
"""Seconds that a run is thought to take before any has ended."""


class Ahead:
    """What waits, oldest first, and how much may. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[ClaimedRequest, float]] = deque()
        self._longest = _UNKNOWN
        self.closed = False
        """Whether the worker stops: nothing begins that has not. May be set by a signal handler."""

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, seconds: float) -> None:
        """Remember how long a run took."""
        self._longest = max(seconds, self._longest * _FADES)

    def note_slow(self) -> None:
        """Take none ahead until many short runs have ended."""
        self._longest = _UNKNOWN

    def limit(self, slots: int) -> int:
        """How many tasks may wait.

        Args:
            slots: how many run at once.
        """
        longest = self._longest
        if self.closed or longest > AHEAD_SECONDS:
            return 0
        return min(MOST_PER_SLOT * slots, int(slots * AHEAD_SECONDS / max(longest, 1e-6)))

    def add(self, request: ClaimedRequest) -> None:
        """Let a task wait."""
        with self._lock:
            self._waiting.append((request, time.monotonic()))

    def next(self) -> ClaimedRequest | None:
        """The one that has waited longest, from now on among the worker's reserved requests."""
        with self._lock:
            if self.closed or not self._waiting:
                return None
            request, _ = self._waiting.popleft()
            # In here, so that whoever asks what the worker has finds it in one place or the other.
            request.reserve()
            return request

    def ids(self) -> list[str]:
        """Ids of the tasks that wait."""
        with self._lock:
            return [request.id for request, _ in self._waiting]

    def overdue(self) -> list[ClaimedRequest]:
        """What has waited too long, or cannot begin any more; it waits on until it is removed."""
        before = time.monotonic() - KEPT_SECONDS
        with self._lock:
            return [one for one, since in self._waiting if self.closed or since < before]

    def remove(self, task_id: str) -> ClaimedRequest | None:
        """Take a task out; None when it does not wait (any more)."""
        with self._lock:
            for entry in self._waiting:
                if entry[0].id == task_id:
                    self._waiting.remove(entry)
                    return entry[0]
        return None

    def clear(self) -> None:
        """Close, and forget what waits: Redis is told that this worker has nothing any more."""
        with self._lock:
            self.closed = True
            self._waiting.clear()
