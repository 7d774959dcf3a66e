"""A worker's hands: what it takes from its queues, and what it still has to acknowledge.

One for each worker; it outlives channels and connections, so that what was taken
over a connection that broke is acknowledged over the next. Knows the store's act
and the form of our messages; no socket.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from pyagent_orch.engine.ahead import Ahead
from pyagent_orch.engine.runtime import Runtime
from pyagent_orch.store import Queues, Store, Taken, TakenTask

REMEMBERED = 4_096
"""Of how many messages is known that they came here."""
OVERDUE_LEASES = 2
"""An answer that takes so many leases is taken for lost."""


class Taker:
    """Takes messages for a worker, and tells Redis when they are done.

    `request` and `receive` belong to the thread of the worker's event loop; the others may be
    called from any thread.

    Args:
        runtime: the engine's state of the worker's app.
        priorities: how many lists a queue has.
        clock: tells seconds.
    """

    def __init__(
        self, runtime: Runtime, priorities: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._runtime, self._priorities, self._clock = runtime, priorities, clock
        self.holding: set[str] = set()
        """Tags of messages that the worker's lease holds; those of our tasks are not here."""
        self.brought: dict[str, int] = {}
        """Maps the ids of tasks, and the tags of other messages, that came last to the number
        of the take that brought them."""
        self.ahead = Ahead()
        """Tasks that were taken before a slot is free."""
        self.asked = 0
        """How many takes were sent; also the number of the last one."""
        self._asked_at = 0.0
        self._under_way = False
        self._done: deque[str] = deque()
        self._back: deque[str] = deque()
        self._told = (0, 0)

    @property
    def _lease_seconds(self) -> float:
        return self._runtime.settings.lease_seconds

    @property
    def answered(self) -> int:
        """The number of the last take of which nothing can still arrive.

        What it brought is in Celery's hands: look at those only after this.
        """
        overdue = self._clock() - self._asked_at > OVERDUE_LEASES * self._lease_seconds
        return self.asked - 1 if self._under_way and not overdue else self.asked

    def request(self, room: int, queues: Sequence[str]) -> list[str | int | float]:
        """The command that takes up to `room` messages; see `Queues.command`."""
        runtime, done, back = self._runtime, list(self._done), list(self._back)
        self._told = (len(done), len(back))
        # In this order: whoever reads them in between must not think it is answered.
        self._under_way, self._asked_at = True, self._clock()
        self.asked += 1
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
        """Read the answer to the last `request`; what it brought too late is left out.

        After a lease without an answer (a worker that was stopped and goes on) others may
        have all of it. The keeper finds what is still ours, and gives it back.
        """
        taken = Queues.read(reply)
        # Only now: what Redis did not hear of is told again.
        for told, tags in zip(self._told, (self._done, self._back), strict=True):
            for _ in range(told):
                tags.popleft()
        self._told = (0, 0)
        if self._clock() - self._asked_at > self._lease_seconds:
            return Taken(more=True)
        for one in taken.tasks:
            self.note_brought(one.id)
        return taken

    def envelope(self, task: TakenTask) -> dict[str, Any]:
        """The message of a claimed task, for Celery's own way."""
        return self._runtime.envelopes.fill(task)

    def note_brought(self, name: str) -> None:
        """Remember that a message came: the id of its task, or the tag of another one."""
        brought = self.brought
        brought.pop(name, None)
        brought[name] = self.asked
        if len(brought) > REMEMBERED:
            del brought[next(iter(brought))]

    def end(self) -> None:
        """What the last take brought was handed over, or its answer is lost."""
        self._under_way = False

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
