"""The event stream: written by the acts, read by listeners and people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from pyagent_orch.exceptions import ConfigurationError, OrchestratorConnectionError
from pyagent_orch.models.events import Event
from pyagent_orch.models.values import JSONValue, to_json
from pyagent_orch.store.connection import BlockingClient, RedisError, named_errors
from pyagent_orch.store.keys import Keys

_ID = re.compile(r"\d{1,19}(-\d{1,19})?")
_LONGEST_NUMBER = 18
_NUMBERS = frozenset({"attempt", "delay_ms", "tasks"})
_JSON = frozenset({"error", "info"})


class EventLog:
    """One namespace's stream. Safe to share between threads, but for blocking reads."""

    BLOCK_MS = 2_000
    """How long a read for new events blocks at the most."""

    def __init__(self, client: redis.Redis, keys: Keys, max_length: int, label: str) -> None:
        self._client, self._keys, self._label = client, keys, label
        self._max_length = max_length

    def append(self, event_type: str, subject: str = "", data: JSONValue = None) -> str:
        """Write an event that belongs to no act, such as a custom one; returns its id."""
        fields: dict[Any, Any] = {"type": event_type, "id": subject, "data": to_json(data)}
        with named_errors(self._label):
            return str(
                self._client.xadd(
                    self._keys.events, fields, maxlen=self._max_length, approximate=True
                )
            )

    def last_id(self) -> str:
        """The id of the newest event; `0-0` for an empty stream."""
        with named_errors(self._label):
            newest: Any = self._client.xrevrange(self._keys.events, count=1)
        return str(newest[0][0]) if newest else "0-0"

    def first_id(self) -> str:
        """The id of the oldest event that is still there; `0-0` for an empty stream."""
        with named_errors(self._label):
            oldest: Any = self._client.xrange(self._keys.events, count=1)
        return str(oldest[0][0]) if oldest else "0-0"

    def read(self, after: str, *, count: int = 500) -> list[Event]:
        """Read events that follow an id, oldest first, as far as they are there.

        Args:
            after: the id of the last event seen.
            count: how many at the most.

        Raises:
            ConfigurationError: that is no event's id.
        """
        _check_id(after)
        with named_errors(self._label):
            return _events(self._client.xread({self._keys.events: after}, count=count))

    def follow(self, after: str, client: BlockingClient, *, count: int = 500) -> list[Event]:
        """Read events that follow an id, and wait up to `BLOCK_MS` for the first one.

        Raises:
            ConfigurationError: that is no event's id.
        """
        _check_id(after)
        with self._blocking(client):
            return _events(
                client.redis.xread({self._keys.events: after}, count=count, block=self.BLOCK_MS)
            )

    @contextmanager
    def _blocking(self, client: BlockingClient) -> Iterator[None]:
        try:
            with named_errors(self._label):
                client.ready()
                yield
        except (OrchestratorConnectionError, RedisError):
            client.lost()
            raise

    # --- consumer groups, for durable handlers -------------------------------------------

    def create_group(self, group: str, *, whole: bool = False) -> None:
        """Make a consumer group; no harm if it is there.

        Args:
            group: its name.
            whole: whether it gets all that is in the stream; else every event from now on.
        """
        with named_errors(self._label):
            try:
                self._client.xgroup_create(
                    self._keys.events, group, id="0" if whole else "$", mkstream=True
                )
            except redis.exceptions.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def read_group(
        self, group: str, consumer: str, client: BlockingClient, *, count: int = 100
    ) -> list[Event]:
        """Read events that no consumer of the group has had yet; waits up to `BLOCK_MS`."""
        with self._blocking(client):
            return _events(
                client.redis.xreadgroup(
                    group, consumer, {self._keys.events: ">"}, count=count, block=self.BLOCK_MS
                )
            )

    def claim_stale(self, group: str, consumer: str, idle_ms: int) -> list[Event]:
        """Take over events that another consumer has had for so long without an answer."""
        with named_errors(self._label):
            reply: Any = self._client.xautoclaim(
                self._keys.events, group, consumer, min_idle_time=idle_ms, count=100
            )
        return [_event(event_id, fields) for event_id, fields in reply[1] if fields]

    def renew(self, group: str, consumer: str, event_ids: Sequence[str]) -> None:
        """Say that a consumer still has these events in hand, so that no other one takes over."""
        with named_errors(self._label):
            self._client.xclaim(
                self._keys.events, group, consumer, 0, list(event_ids), idle=0, justid=True
            )

    def acknowledge(self, group: str, event_ids: Sequence[str]) -> None:
        """Say that these events are dealt with."""
        with named_errors(self._label):
            self._client.xack(self._keys.events, group, *event_ids)


def _check_id(event_id: str) -> None:
    if not _ID.fullmatch(event_id):
        raise ConfigurationError(
            "since", f"{event_id[:80]!r} is not the id of an event, such as '1767225600000-0'"
        )


def _events(reply: Any) -> list[Event]:
    if not reply:
        return []
    # redis-py gives pairs for RESP2 and a mapping of lists of pages for RESP3.
    if isinstance(reply, Mapping):
        entries = [entry for pages in reply.values() for page in pages for entry in page]
    else:
        entries = [entry for _, page in reply for entry in page]
    return [_event(event_id, fields) for event_id, fields in entries]


def _event(event_id: str, fields: dict[str, str]) -> Event:
    event_type, subject = fields.pop("type", ""), fields.pop("id", "")
    data: JSONValue
    if "data" in fields:
        data = _json(fields["data"])
    else:
        data = {name: _value(name, text) for name, text in fields.items()}
    return Event(id=event_id, type=event_type, subject=subject, data=data)


def _value(name: str, text: str) -> JSONValue:
    if name in _NUMBERS:
        return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else text
    return _json(text) if name in _JSON and text else text


def _json(text: str) -> JSONValue:
    """Read JSON; what is none stays text: one bad entry must not stop who follows the stream."""
    try:
        value: JSONValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
