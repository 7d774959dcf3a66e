"""How a state file follows the stream: every event is shown to it before anybody else.

Part of the room of the state file; implements the listener's `Witness`. So whoever
has been told that something is final finds it in the file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from pyagent_orch.exceptions import OrchestratorConnectionError, StateFileError
from pyagent_orch.models.events import Event, order_of
from pyagent_orch.state.index import JOB, TASK, WORKFLOW, Key
from pyagent_orch.state.lines import Entry
from pyagent_orch.state.restore import restore
from pyagent_orch.state.scribe import Scribe
from pyagent_orch.store import RedisError

logger = logging.getLogger(__name__)

_ENDS = frozenset({"completed", "failed", "cancelled", "skipped"})
_STEPS = frozenset({"retried", "requeued", "expanded", "recovered"})
"""What else changes a task or a workflow in a way that is worth an entry."""
_RETRY_SECONDS = 5.0
"""When a comparison that the disk has refused is made again."""
_JOB_STEPS = frozenset(
    {
        "scheduled", "changed", "paused", "resumed", "fired", "skipped", "queued", "missed",
        "ended", "removed",
    }
)  # fmt: skip


class StateWitness:
    """Sees to it that the file knows what the stream tells. Safe to share between threads."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._position = (0, 0)
        self._compared = False
        self._next_try: float | None = None
        """When the comparison is due that the disk has refused; None: none is."""

    def see(self, events: Sequence[Event]) -> None:
        """Take a page of events, before anybody else hears of them.

        Raises:
            OrchestratorConnectionError: Redis is out of reach; the page is shown again.
        """
        scribe = self._scribe
        with scribe.following:
            if self._next_try is not None and time.monotonic() >= self._next_try:
                self.catch_up()
            # Two listeners of a process show each event twice.
            fresh = [event for event in events if order_of(event.id) > self._position]
            keys: dict[Key, None] = dict(scribe.unsaved)
            for event in fresh:
                key = (event.noun, event.subject)
                if self._is_wanted(key, event.type.partition(".")[2]):
                    keys[key] = None
            scribe.save_quietly(list(keys))
            if fresh:
                self._position = order_of(fresh[-1].id)

    def _is_wanted(self, key: Key, verb: str) -> bool:
        scribe = self._scribe
        if key[0] == JOB:
            return verb in _JOB_STEPS and (scribe.everything or scribe.has(key))
        if key[0] not in {TASK, WORKFLOW}:
            return False
        expected = key in scribe.expected
        if verb in _ENDS:
            return expected or key in scribe.open
        if verb in _STEPS:
            return expected or scribe.has(key)
        # Sent by a forked child, a schedule or a flow.
        return verb == "submitted" and scribe.everything and not expected and not scribe.has(key)

    def ended(self, noun: str, name: str) -> None:
        """Somebody has read that it is final, and is about to hear of it."""
        if (noun, name) in self._scribe.open:
            self._scribe.save_quietly([(noun, name)])

    def called(self, noun: str, name: str) -> None:
        """Its callbacks have been called."""
        scribe, key = self._scribe, (noun, name)
        if key not in scribe.waiting:
            return
        scribe.waiting.discard(key)
        store = scribe.store
        read = store.snapshots.standing(noun, [name])  # type: ignore[arg-type] # one of the two
        standing = next(iter(read))
        if standing is None:
            return
        try:
            scribe.journal.append([Entry(f"{noun}.called", name, standing.created)])
        except StateFileError as error:
            logger.error("%s The callback of %s %s is called again.", error, noun, name)  # noqa: TRY400 - nothing to trace

    def catch_up(self) -> None:
        """Compare with Redis after it was out of sight. What the disk refuses is logged, and
        compared again later: whoever follows the stream has others to serve.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        try:
            self.compare()
        except StateFileError as error:
            if self._next_try is None:
                logger.error("%s It is compared with Redis again later.", error)  # noqa: TRY400 - nothing to trace
            self._next_try = time.monotonic() + _RETRY_SECONDS

    def compare(self) -> None:
        """Compare with Redis; each takes what only the other one has.

        Raises:
            StateFileError: the file cannot be written.
            OrchestratorConnectionError: Redis is out of reach.
        """
        with self._scribe.following:
            # What was before that is in the records, which are compared.
            self._position = order_of(self._scribe.store.events.last_id())
            restore(self._scribe, first=not self._compared)
            self._compared, self._next_try = True, None

    def drain(self) -> None:
        """Take the events that the listener has not shown yet; before the connection closes."""
        if not self._compared:
            return
        events = self._scribe.store.events
        try:
            with self._scribe.following:
                while page := events.read(f"{self._position[0]}-{self._position[1]}"):
                    self.see(page)
        except (OrchestratorConnectionError, RedisError) as error:
            logger.debug("The last events are not in the state file: %s", error)
