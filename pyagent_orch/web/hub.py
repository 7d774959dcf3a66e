"""The hub: one thread of a web process follows the events, and feeds any number of streams.

An event is written as bytes once, however many streams want it, and a page of events is
handed to an event loop in one call. A stream that does not keep up is ended: its client
comes back and goes on where it stopped. Knows the facade and the form of events, no HTTP.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi.sse import format_sse_event

from pyagent_orch.listener.follower import FINAL_EVENTS
from pyagent_orch.models.events import Event, order_of
from pyagent_orch.web.views import shown_data

if TYPE_CHECKING:
    from pyagent_orch.listener.follower import Listener
    from pyagent_orch.orchestrator import Orchestrator

BACKLOG = 5_000
"""How many entries a stream may be behind before it is ended."""
_OURS = frozenset({"task", "workflow", "job"})
_OWNERS = 50_000
"""Of how many tasks and workflows it is remembered whose they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a stream tells its client."""

    name: str
    """The name of the server-sent event."""
    data: str
    """JSON, on one line."""
    event_id: str = ""
    """The event that it tells; empty for text."""
    text_id: str = ""
    """The piece of text that it tells."""
    ends: str = ""
    """The id of the task or workflow that is final with it."""
    order: tuple[int, int] = (0, 0)
    """What the event is compared by."""
    written: bytes = b""
    """The whole server-sent event, for streams whose place is that of the event alone."""


@dataclass(eq=False)
class Subscription:
    """What one stream gets. Belongs to one event loop.

    Args:
        subject: the task or workflow that it is about; empty: all.
        members: of a workflow: the ids of its tasks, too.
        tenant: whose events it gets; None: those of all.
    """

    subject: str = ""
    members: frozenset[str] = frozenset()
    tenant: str | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    queue: deque[Entry] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_cut: bool = False
    """Whether the client has to come back: it was too slow, or events were missed."""

    def wants(self, event: Event) -> bool:
        """Whether an event belongs to the stream, tenants aside."""
        if not self.subject:
            return True
        if event.noun not in ("task", "workflow"):
            return False
        name = event.subject
        if name == self.subject or name in self.members:
            return True
        if not self.members or event.noun != "task":
            return False
        # What a flow decided at run time: `task.step.place`, at any depth.
        while "." in name:
            name = name.rpartition(".")[0]
            if name in self.members:
                return True
        return False

    def put(self, entries: Iterable[Entry]) -> None:
        """Hand entries over; on its event loop."""
        if self.is_cut:
            return
        self.queue.extend(entries)
        if len(self.queue) > BACKLOG:
            self.cut()
        self.wake.set()

    def cut(self) -> None:
        """End the stream; on its event loop."""
        self.is_cut = True
        self.queue.clear()
        self.wake.set()


class Hub:
    """Feeds the streams of one router. Safe to share between threads and event loops.

    Args:
        orchestrator: whose events.
        tenant_key: where in the metadata a tenant stands.
        most: how many streams there may be at a time.
    """

    def __init__(self, orchestrator: Orchestrator, tenant_key: str, most: int) -> None:
        self._orchestrator, self._tenant_key, self._most = orchestrator, tenant_key, most
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._listener: Listener | None = None
        self._owners: OrderedDict[str, str | None] = OrderedDict()

    @property
    def streams(self) -> int:
        """How many there are now."""
        return len(self._subscriptions)

    @property
    def is_full(self) -> bool:
        """Whether there may be no further one."""
        return len(self._subscriptions) >= self._most

    def open(self, subscription: Subscription) -> None:
        """Feed a subscription from now on; not on an event loop, since it may ask Redis.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        with self._lock:
            listener = self._listener
            if listener is None or not listener.is_running:
                # After a fork the thread is the parent's.
                self._listener = self._orchestrator.observe(self)
            self._subscriptions.add(subscription)

    def close(self, subscription: Subscription) -> None:
        """Feed it no more; with the last one the thread ends."""
        with self._lock:
            self._subscriptions.discard(subscription)
            idle = not self._subscriptions
            listener = self._listener
            if idle:
                self._listener = None
        if idle and listener is not None:
            threading.Thread(target=listener.stop, daemon=True).start()

    # --- Witness: in the listener's thread --------------------------------------------------

    def see(self, events: Sequence[Event]) -> None:
        """Hand a page of events to whom they concern."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        if any(one.tenant is not None and not one.subject for one in subscriptions):
            self.learn_owners(events)
        batches: dict[Subscription, list[Entry]] = {}
        for event in events:
            entry: Entry | None = None
            for one in subscriptions:
                if one.wants(event) and self.may_see(one, event):
                    entry = entry or entry_of(event)
                    batches.setdefault(one, []).append(entry)
        self._hand_over(batches)

    def catch_up(self) -> None:
        """Events may be missing: clients come back and load anew."""
        self.cut_all()

    def cut_all(self) -> None:
        """End all streams; clients come back and go on where they were. From any thread."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        for one in subscriptions:
            _call(one.loop, one.cut)

    def ended(self, noun: str, name: str) -> None:
        """Nothing: the stream's own event tells it."""

    def called(self, noun: str, name: str) -> None:
        """Nothing: there are no callbacks here."""

    def _hand_over(self, batches: dict[Subscription, list[Entry]]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Subscription, list[Entry]]]] = {}
        for one, entries in batches.items():
            loops.setdefault(one.loop, []).append((one, entries))

        def deliver(parts: list[tuple[Subscription, list[Entry]]]) -> None:
            for one, entries in parts:
                one.put(entries)

        for loop, parts in loops.items():
            _call(loop, deliver, parts)

    # --- tenants ------------------------------------------------------------------------------

    def may_see(self, subscription: Subscription, event: Event) -> bool:
        """Whether an event is for a subscription's tenant; what it is about was checked."""
        if subscription.tenant is None or subscription.subject:
            return True
        return self._owners.get(event.subject) == subscription.tenant

    def learn_owners(self, events: Iterable[Event]) -> None:
        """Find out whose these events are; one round trip for what is new."""
        unknown = {
            (event.noun, event.subject)
            for event in events
            if event.noun in ("task", "workflow") and event.subject not in self._owners
        }
        if not unknown:
            return
        found = self._orchestrator.metadata_of(unknown)
        for name, metadata in found.items():
            tenant = metadata.get(self._tenant_key)
            self._owners[name] = tenant if isinstance(tenant, str) else None
        while len(self._owners) > _OWNERS:
            self._owners.popitem(last=False)


def entry_of(event: Event) -> Entry:
    """What a stream tells of an event."""
    data = {
        "type": event.type, "subject": event.subject, "at": event.at.isoformat(),
        "data": event.data if event.noun not in _OURS else shown_data(event.data),
    }  # fmt: skip
    # ASCII, so that no character in a name can end the line or break the encoding.
    ends = event.subject if event.type in FINAL_EVENTS else ""
    text = json.dumps(data, separators=(",", ":"))
    written = format_sse_event(event="event", data_str=text, id=event.id)
    return Entry("event", text, event.id, ends=ends, order=order_of(event.id), written=written)


def _call(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        # The loop has ended, and its streams with it.
        return
