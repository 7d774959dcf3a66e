"""One server-sent event stream: what came before, what comes, and where it is resumed.

The id of each event says where the stream stands, `EVENT` or `EVENT~TEXT`, so that a client
that comes back with it misses nothing and gets nothing twice. Asynchronous; what asks
Redis runs in threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from pyagent_orch.exceptions import ConfigurationError, PyAgentOrchError
from pyagent_orch.models.texts import TextPlace
from pyagent_orch.web.access import Caller
from pyagent_orch.web.hub import Entry, Hub, Subscription, entry_of

logger = logging.getLogger(__name__)

END = "end"
"""The id of a stream's last event: a client that comes back with it is told to stop (204)."""
PING_SECONDS = 10.0
"""How long a stream is silent at the most; proxies close what says nothing."""
RETRY_MS = 500
"""After what time a browser comes back when the connection is lost."""
WRITES_PER_SECOND = 2_000
"""Of all streams of a process together; what comes faster is written together."""
LONGEST_PAUSE = 0.5
REPLAYED = 20_000
"""How many events a resume looks through; who was away for longer loads anew."""
SLOWEST_TEXT = 10.0
"""Seconds that the end of a stream waits for the end of its text."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands."""

    event_id: str = ""
    text_id: str = ""
    is_end: bool = False

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `Last-Event-ID`.

        Raises:
            ConfigurationError: it is none of ours.
            InvalidTaskError: likewise.
        """
        if text == END:
            return cls(is_end=True)
        event_id, _, text_id = text.partition("~")
        order(event_id)
        if text_id:
            TextPlace.parse(text_id)
        return cls(event_id, text_id)

    def __str__(self) -> str:
        return f"{self.event_id}~{self.text_id}" if self.text_id else self.event_id


def order(event_id: str) -> tuple[int, int]:
    """What events are compared by.

    Raises:
        ConfigurationError: that is no event's id.
    """
    milliseconds, _, number = event_id.partition("-")
    numbers = (milliseconds, number or "0")
    if not all(len(one) <= _DIGITS and one.isascii() and one.isdecimal() for one in numbers):
        raise ConfigurationError("Last-Event-ID", f"{ascii(event_id)[:80]} is no event's id")
    return int(milliseconds), int(number or 0)


_DIGITS = 18


class Stream:
    """The answer to one client.

    Args:
        caller: who asks.
        hub: feeds it.
        subscription: what it is about.
        place: where its client stopped; None: it is new.
        look: reads what it is about; its JSON, and whether it is final. In a thread.
        texts: the text that is being written, behind a place or (empty) from its begin; None: no
            text.
    """

    def __init__(
        self,
        caller: Caller,
        hub: Hub,
        subscription: Subscription,
        *,
        place: Place | None,
        look: Callable[[], tuple[str, bool]],
        texts: Callable[[str], AsyncIterator[Entry]] | None = None,
    ) -> None:
        self._caller, self._hub, self._subscription = caller, hub, subscription
        self._place, self._look, self._texts = place, look, texts
        # Before 0-0, which is where a stream stands that has no events yet.
        self._last = (-1, 0)
        self._text_id = place.text_id if place else ""
        self._event_id = place.event_id if place else ""
        self._is_final = False

    async def run(self) -> AsyncIterator[bytes]:
        """What is written to the client, until what it is about is final or the client goes."""
        try:
            async for chunk in self._run():
                yield chunk
        except PyAgentOrchError as error:
            # The client comes back by itself, and is told then what is wrong.
            logger.warning("A stream is cut: %s", error)

    async def _run(self) -> AsyncIterator[bytes]:
        subscription, pump = self._subscription, None
        try:
            await run_in_threadpool(self._hub.open, subscription)
            first = await run_in_threadpool(self._begin)
            if self._texts is not None:
                pump = asyncio.create_task(self._pump(self._texts(self._text_id)))
                pump.add_done_callback(self._pumped)
            yield f"retry: {RETRY_MS}\n\n".encode() + self._written(first)
            async for chunk in self._live():
                yield chunk
            if not self._is_final:
                return
            if pump is not None:
                async for chunk in self._rest(pump):
                    yield chunk
            data, _ = await run_in_threadpool(self._look)
            yield format_sse_event(event="end", data_str=data, id=END)
        finally:
            self._hub.close(subscription)
            if pump is not None:
                pump.cancel()

    async def _live(self) -> AsyncIterator[bytes]:
        """What comes, until the end: of what the stream is about, or of the stream."""
        while not self._is_final:
            if not await self._changed():
                if self._caller.orchestrator.is_closed:
                    return
                yield b": \n\n"
                continue
            if self._subscription.is_cut:
                return
            chunk, ended = self._take()
            if chunk:
                yield chunk
            if ended:
                self._is_final = (await run_in_threadpool(self._look))[1]
            await asyncio.sleep(min(LONGEST_PAUSE, self._hub.streams / WRITES_PER_SECOND))

    # --- the beginning: in a thread -----------------------------------------------------------

    def _begin(self) -> list[Entry]:
        place = self._place
        if place is not None:
            missed = self._missed(place.event_id)
            if missed is not None:
                self._last = order(place.event_id)
                self._is_final = self._look()[1]
                return missed
        # Before the look, so that nothing falls between.
        as_of = self._caller.orchestrator.event_span()[1]
        data, self._is_final = self._look()
        self._text_id = ""
        return [Entry("snapshot", data, as_of)]

    def _missed(self, after: str) -> list[Entry] | None:
        """What happened since; None when that is not known any more."""
        orchestrator, subscription = self._caller.orchestrator, self._subscription
        oldest, newest = map(order, orchestrator.event_span())
        # 0-0 is where a stream stood that began before the first event.
        if order(after) > newest or (oldest > order(after) != (0, 0)):
            return None
        missed = []
        for number, event in enumerate(orchestrator.events(after)):
            if number >= REPLAYED:
                return None
            if subscription.wants(event):
                missed.append(event)
        if subscription.tenant is not None and not subscription.subject:
            self._hub.learn_owners(missed)
        return [entry_of(event) for event in missed if self._hub.may_see(subscription, event)]

    # --- on the event loop ----------------------------------------------------------------------

    async def _changed(self) -> bool:
        wake = self._subscription.wake
        try:
            async with asyncio.timeout(PING_SECONDS):
                await wake.wait()
        except TimeoutError:
            return False
        wake.clear()
        return True

    def _take(self) -> tuple[bytes, bool]:
        """What waits, written; and whether the end of what the stream is about is in it."""
        queue = self._subscription.queue
        entries = [queue.popleft() for _ in range(len(queue))]
        subject = self._subscription.subject
        return self._written(entries), any(one.ends == subject for one in entries if one.ends)

    def _written(self, entries: list[Entry]) -> bytes:
        parts = []
        for entry in entries:
            if entry.event_id:
                place = entry.order if entry.written else order(entry.event_id)
                if place <= self._last:
                    # It was in what the stream began with.
                    continue
                self._last, self._event_id = place, entry.event_id
            if entry.text_id:
                self._text_id = entry.text_id
            if entry.written and not self._text_id:
                parts.append(entry.written)
                continue
            parts.append(
                format_sse_event(
                    event=entry.name, data_str=entry.data,
                    id=str(Place(self._event_id, self._text_id)),
                )
            )  # fmt: skip
        return b"".join(parts)

    async def _pump(self, texts: AsyncIterator[Entry]) -> None:
        async for entry in texts:
            self._subscription.put([entry])

    def _pumped(self, pump: asyncio.Task[None]) -> None:
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            logger.warning("A stream is cut, its text is out of reach: %s", error)
            self._subscription.cut()

    async def _rest(self, pump: asyncio.Task[None]) -> AsyncIterator[bytes]:
        """The text that is still on its way when what it is of is final."""
        deadline = time.monotonic() + SLOWEST_TEXT
        while not pump.done() and time.monotonic() < deadline:
            await asyncio.wait([pump], timeout=0.1)
            chunk, _ = self._take()
            if chunk:
                yield chunk
        chunk, _ = self._take()
        if chunk:
            yield chunk
