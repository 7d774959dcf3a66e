"""Text of running tasks: written by workers, read and followed by who watches.

`text:<task id>` holds the latest text with its mark (run and part); what is added is
also published, so nothing is stored per piece. Who missed one reads the key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from pyagent_orch.exceptions import InvalidTaskError
from pyagent_orch.models.texts import TextPiece, TextPlace
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys

KEPT_SECONDS = 900
"""How long a text stays after its last piece."""
_MOST_SILENCES = 2
"""So many health checks without an answer, 30 s apart, make a connection a dead one."""


@dataclass(frozen=True, slots=True)
class TextWrite:
    """What a run adds to its text."""

    task_id: str
    run: str
    part: int
    offset: int
    """Bytes of the part before this."""
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a task has written, and how it stands."""

    status: TaskStatus | None
    """None: there is no record."""
    run: int
    place: TextPlace | None
    """Where `text` begins; None: nothing is written, or it is no longer there."""
    text: str
    output: JSONValue = None
    """Of a completed task."""
    workflow: str = ""
    """The workflow that it is part of."""


class Texts:
    """Calls on the texts of a namespace. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    def write_many(self, writes: Sequence[TextWrite]) -> list[int | None]:
        """Add to texts; one round trip.

        Returns:
            For each how many bytes its part has now, less than expected where Redis has lost
            some; None where the run is not the task's present one any more.
        """
        calls = [
            (one.task_id, one.run, one.part, one.offset, one.text, KEPT_SECONDS * 1000)
            for one in writes
        ]
        replies = self._acts.run_many("write_text_v1", calls)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return [None if reply[0] == "stale" else int(reply[1]) for reply in replies]

    def read_many(self, places: Sequence[tuple[str, TextPlace]]) -> list[Shown]:
        """Read the texts of tasks, each from where its reader is; one round trip.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        calls = [(task_id, f"{at.attempt}.{at.part}", at.offset) for task_id, at in places]
        with named_errors(self._label):
            replies = self._acts.run_many("read_text_v1", calls)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return [_shown(reply) for reply in replies]

    def feed(self) -> TextFeed:
        """A connection of its own that hears of new text; its caller closes it."""
        return TextFeed(self._client.pubsub(ignore_subscribe_messages=False), self._keys)

    def wake(self, name: str) -> None:
        """Have the feed that follows this name return; one round trip."""
        with named_errors(self._label):
            self._client.publish(self._keys.text(name), "")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a feed has heard."""

    name: str
    """The task or workflow that was followed; `*` for all."""
    piece: TextPiece | None = None
    """None: from now on nothing of it is missed, or `wake` was called."""


class TextFeed:
    """A subscription. For one thread, which makes a new one when this breaks."""

    ALL = "*"

    def __init__(self, pubsub: redis.client.PubSub, keys: Keys) -> None:
        self._pubsub = pubsub
        self._prefix = keys.text("")

    def follow(self, names: Collection[str]) -> None:
        """Hear of these tasks and workflows too; `*` is all. `next` says when that is so."""
        channels = [self._prefix + name for name in names if name != self.ALL]
        if channels:
            self._pubsub.subscribe(*channels)
        if self.ALL in names:
            self._pubsub.psubscribe(self._prefix + "*")

    def drop(self, names: Collection[str]) -> None:
        """Hear of them no more."""
        channels = [self._prefix + name for name in names if name != self.ALL]
        if channels:
            self._pubsub.unsubscribe(*channels)
        if self.ALL in names:
            self._pubsub.punsubscribe(self._prefix + "*")

    def next(self, timeout: float) -> Heard | None:
        """Wait for the next thing that is heard; None: nothing for `timeout` seconds.

        Raises:
            RedisError: the connection is lost.
        """
        said: Any = self._pubsub.get_message(timeout=timeout)
        if said is None:
            if self._pubsub.health_check_response_counter > _MOST_SILENCES:
                raise redis.exceptions.ConnectionError("no answer on the connection of texts")
            return None
        kind, channel, data = said["type"], said["channel"], said["data"]
        if kind == "message":
            return Heard(channel[len(self._prefix) :], _piece(data))
        if kind == "pmessage" and (piece := _piece(data)) is not None:
            return Heard(self.ALL, piece)
        if kind in ("subscribe", "psubscribe"):
            return Heard(channel[len(self._prefix) :])
        return Heard("")

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        self._pubsub.close()


def _piece(said: str) -> TextPiece | None:
    """Read what `write_text` publishes; None for anything else."""
    head, _, text = said.partition("\n")
    task_id, _, place = head.rpartition(" ")
    if not task_id or not text:
        return None
    try:
        at = TextPlace.parse(place, task_id)
    except InvalidTaskError:
        return None
    return TextPiece(task_id, at.attempt, at.offset, text, at.part)


def _shown(reply: list[Any]) -> Shown:
    status, run, mark, offset, text, output, workflow = reply
    return Shown(
        TaskStatus(status) if status else None,
        int(run),
        TextPlace.parse(f"{mark}:{offset}") if mark else None,
        text,
        json.loads(output) if output is not None else None,
        workflow or "",
    )
