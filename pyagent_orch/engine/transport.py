"""kombu's Redis transport, less its trust in what stands in a queue.

The stock transport ends the worker on a message that is not JSON and stops
consuming on one without an id (measured, see docs/architecture.md). Here each
message is checked before it reaches Celery; what cannot be one is put aside in
a capped list, and logged once for each kind of damage.
"""

from __future__ import annotations

import base64
import binascii
import json
from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str

logger = get_logger(__name__)

KEPT_REJECTED = 1_000
"""How many rejected messages are kept for a look."""
KEPT_BYTES = 16_384
"""How much of each."""
_ENVELOPE = ("headers", "properties", "body", "content-type")


def damage(text: str) -> str | None:
    """Say what is wrong with a message, or None when Celery can take it.

    Args:
        text: the message as it stood in the queue.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(envelope, dict) or any(part not in envelope for part in _ENVELOPE):
        return "it is not a kombu envelope"
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return "its headers or properties are no objects"
    if not all(isinstance(headers.get(name), str) and headers[name] for name in ("id", "task")):
        return "it has no task name or id"
    delivery = properties.get("delivery_info")
    if not isinstance(properties.get("delivery_tag"), str) or not isinstance(delivery, dict):
        return "it has no delivery tag or delivery info"
    if envelope["content-type"] != "application/json":
        return f"its content type is {str(envelope['content-type'])[:40]!r}, not application/json"
    return _damaged_body(envelope["body"], properties.get("body_encoding"))


def _damaged_body(body: object, encoding: object) -> str | None:
    if not isinstance(body, str):
        return "its body is no text"
    try:
        raw = base64.b64decode(body, validate=True) if encoding == "base64" else body
        parts = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        return "its body cannot be decoded"
    shape = (list, dict, dict)
    if (
        not isinstance(parts, list)
        or len(parts) != len(shape)
        or not all(isinstance(part, kind) for part, kind in zip(parts, shape, strict=True))
    ):
        return "its body is not [arguments, keyword arguments, options]"
    return None


class Channel(kombu_redis.Channel):
    """A channel that survives whatever somebody pushes into its queues."""

    do_restore = False
    """The stock transport pushes a copy of each running task's message when a connection is
    lost, or pickles it into a file when it cannot. The record knows better what is lost."""
    rejected_key = "rejected"
    """Where what is put aside goes."""

    from_transport_options: tuple[str, ...] = (  # type: ignore[assignment] # one more than kombu's
        *kombu_redis.Channel.from_transport_options,
        "rejected_key",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call] # as kombu has it
        self._seen_damage: set[str] = set()

    def _brpop_read(self, **options: Any) -> bool:
        # As kombu's own, with the check between reading and delivering.
        client = self.client
        try:
            try:
                reply = client.parse_response(client.connection, "BRPOP", **options)
            except self.connection_errors:
                client.connection.disconnect()
                raise
            if not reply:
                raise Empty
            queue = bytes_to_str(reply[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self._accept(reply[1], queue)
            return True
        finally:
            self._in_poll = None  # type: ignore[assignment] # kombu keeps a connection here
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call] # as kombu has it

    def _accept(self, item: bytes | str, queue: str) -> None:
        try:
            text = bytes_to_str(item)
            problem = damage(text)
        except UnicodeDecodeError:
            text, problem = repr(item), "it is not UTF-8"
        if problem is None:
            self.connection._deliver(json.loads(text), queue)  # noqa: SLF001 - as kombu's own
        else:
            self._put_aside(text, queue, problem)

    def _put_aside(self, text: str, queue: str, problem: str) -> None:
        if problem not in self._seen_damage:
            self._seen_damage.add(problem)
            # The text itself is not logged: it is hostile, or private.
            logger.error(
                "Rejected a message of queue %r: %s. It is kept in %r; more of this kind are "
                "not logged.",
                queue,
                problem,
                self.rejected_key,
            )
        with self.conn_or_acquire() as client:
            client.lpush(self.rejected_key, text[:KEPT_BYTES])
            client.ltrim(self.rejected_key, 0, KEPT_REJECTED - 1)


class Transport(kombu_redis.Transport):
    """The transport of `create_app`."""

    Channel = Channel
