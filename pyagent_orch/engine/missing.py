"""What Redis says a worker has and the worker has not: a process died, or an answer was lost.

Pure but for the taker's counts. A task is claimed in Redis before its worker hears of
it, so for a moment each task is missing; to give it back then would run it twice.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from pyagent_orch.engine.transport.taker import Taker


class Missing:
    """What was missing when the keeper looked last; for its thread alone."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def believed(self, missing: AbstractSet[str], taker: Taker | None, answered: int) -> set[str]:
        """What is truly gone: missing twice in a row, and not just on its way here.

        How long an answer takes says nothing, since the loop that reads it may be busy. So
        the takes are counted: all that were sent when it was first missing are answered, and
        none of them, nor a later one, has brought it since.

        Args:
            missing: ids of tasks, or tags of messages.
            taker: what takes them; None where each is known here before Redis is told.
            answered: the taker's count, read before it was looked up what is missing.
        """
        believed = set()
        seen = {}
        for name in missing:
            asked, brought = (taker.asked, taker.brought.get(name, 0)) if taker else (0, 0)
            since, brought_then = self._seen.get(name, (asked, -1))
            if brought != brought_then:
                seen[name] = (asked, brought)
            elif since <= answered:
                believed.add(name)
            else:
                seen[name] = (since, brought)
        self._seen = seen
        return believed
