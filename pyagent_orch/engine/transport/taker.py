"""A worker's hands: what it takes from its queues, and what it still has to acknowledge.

One for each worker; it outlives channels and connections, so that what was taken
over a connection that broke is acknowledged over the next. Knows the store's act
and the form of our messages; no socket.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from pyagent_orch.engine.message import Envelopes
from pyagent_orch.engine.runtime import Runtime
from pyagent_orch.store import Queues, Store, Taken

REMEMBERED = 4_096
"""How many ids are kept of tasks that were delivered."""


class Taker:
    """Takes messages for a worker, and tells Redis when they are done.

    `request` and `receive` belong to the thread of the worker's event loop; the others may be
    called from any thread.

    Args:
        runtime: the engine's state of the worker's app.
        priorities: how many lists a queue has.
    """

    def __init__(self, runtime: Runtime, priorities: int) -> None:
        self._runtime, self._priorities = runtime, priorities
        self.envelopes = Envelopes(runtime.message)
        self.holding: set[str] = set()
        """Tags of messages that the worker's lease holds; those of our tasks are not here."""
        self.delivered: deque[str] = deque(maxlen=REMEMBERED)
        """Ids of the tasks that were handed to Celery last."""
        self._done: deque[str] = deque()
        self._back: deque[str] = deque()
        self._told = (0, 0)

    def request(self, room: int, queues: Sequence[str]) -> list[str | int | float]:
        """The command that takes up to `room` messages; see `Queues.command`."""
        runtime, done, back = self._runtime, list(self._done), list(self._back)
        self._told = (len(done), len(back))
        return runtime.store.queues.command(
            runtime.lease_id,
            runtime.worker_name,
            room,
            queues,
            priorities=self._priorities,
            done=done,
            back=back,
        )

    def receive(self, reply: Any) -> Taken:
        """Read the answer to the last `request`."""
        taken = Queues.read(reply)
        # Only now: what Redis did not hear of is told again.
        for told, tags in zip(self._told, (self._done, self._back), strict=True):
            for _ in range(told):
                tags.popleft()
        self._told = (0, 0)
        self.delivered.extend(one.id for one in taken.tasks)
        return taken

    def teach(self) -> None:
        """Have a server know the act that has said NOSCRIPT."""
        self._runtime.store.queues.teach()

    def settle(self, store: Store | None = None) -> None:
        """Tell Redis what is done, if anything is, while nothing is taken.

        Args:
            store: that of another thread.
        """
        done, back = list(self._done), list(self._back)
        if done or back:
            runtime = self._runtime
            queues = (store or runtime.store).queues
            queues.settle(runtime.lease_id, runtime.worker_name, done, back)
            for _ in done:
                self._done.popleft()
            for _ in back:
                self._back.popleft()

    def done(self, tag: str) -> None:
        """A message is acknowledged; Redis hears of it with the next act."""
        if tag in self.holding:
            self.holding.discard(tag)
            self._done.append(tag)

    def give_back(self, tag: str) -> None:
        """A message goes back to its queue, with the next act."""
        self.holding.discard(tag)
        self._back.append(tag)

    def known(self) -> set[str]:
        """Tags of messages that came here; Redis may not have heard yet that some are done."""
        return self.holding.union(self._done, self._back)

    def give_all_back(self, taken: Taken) -> None:
        """What came too late to be delivered goes back."""
        runtime = self._runtime
        for one in taken.tasks:
            runtime.store.runs.release(
                one.id, str(one.wire[0]), runtime.lease_id, runtime.worker_name, lost=False
            )
        for _, text in taken.others:
            tag = tag_of(_parsed(text))
            if tag is not None:
                self.give_back(tag)
        self.settle()


def tag_of(envelope: Any) -> str | None:
    """The tag by which the act holds a message, also a damaged one; None when it has none."""
    properties = envelope.get("properties") if isinstance(envelope, dict) else None
    tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
    return tag if isinstance(tag, str) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
