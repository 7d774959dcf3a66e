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
import math
from datetime import datetime
from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str

from pyagent_orch.engine.message import RUN_TASK

logger = get_logger(__name__)

KEPT_REJECTED = 1_000
"""How many rejected messages are kept for a look."""
KEPT_BYTES = 16_384
"""How much of each."""
_ENVELOPE = ("headers", "properties", "body", "content-type")
_OPTIONS = {"callbacks": list, "errbacks": list, "chain": list, "chord": dict}
"""What of a canvas a message carries."""
_HEADERS: dict[str, type] = {
    **dict.fromkeys(("shadow", "argsrepr", "kwargsrepr", "origin", "lang"), str),
    **dict.fromkeys(("root_id", "parent_id", "group"), str),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), int),
    "ignore_result": bool,
    "stamped_headers": list,
    "stamps": dict,
}
_REPLIES = ".reply.celery.pidbox"
"""How the names of the queues end in which a client gets what workers answer to Celery's
remote control (`celery inspect`, Flower): envelopes without a task in them."""
_PROPERTIES: dict[str, type] = {"correlation_id": str, "reply_to": str, "priority": int}
"""What Celery takes on trust: where it is there, it has to be of this type."""


def damage(text: str) -> str | None:
    """Say what is wrong with a message, or None when Celery can take it.

    Args:
        text: the message as it stood in the queue.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return _damaged(envelope)


def _damaged(envelope: Any, *, is_task: bool = True) -> str | None:
    if not isinstance(envelope, dict) or any(part not in envelope for part in _ENVELOPE):
        return "it is not a kombu envelope"
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return "its headers or properties are no objects"
    named = all(isinstance(headers.get(name), str) and headers[name] for name in ("id", "task"))
    if is_task and not named:
        return "it has no task name or id"
    delivery = properties.get("delivery_info")
    if not isinstance(properties.get("delivery_tag"), str) or not isinstance(delivery, dict):
        return "it has no delivery tag or delivery info"
    if not all(isinstance(delivery.get(name), str) for name in ("exchange", "routing_key")):
        return "its delivery info names no exchange and routing key"
    if envelope["content-type"] != "application/json":
        return f"its content type is {str(envelope['content-type'])[:40]!r}, not application/json"
    if envelope.get("content-encoding") != "utf-8":
        return "its content encoding is not utf-8"
    if not is_task:
        return None
    return _damaged_headers(headers, properties) or _damaged_body(
        envelope["body"], properties.get("body_encoding"), headers["task"]
    )


def _damaged_headers(headers: dict[str, Any], properties: dict[str, Any]) -> str | None:
    """What Celery takes on trust; some of it ends the worker when it is wrong."""
    limits = headers.get("timelimit", [None, None])
    if (
        not isinstance(limits, list)
        or len(limits) != len(("hard", "soft"))
        or not all(limit is None or _is_number(limit) for limit in limits)
    ):
        return "its time limits are not two numbers"
    if headers.get("compression"):
        return "it is compressed"
    for part, wanted in ((headers, _HEADERS), (properties, _PROPERTIES)):
        for name, kind in wanted.items():
            value = part.get(name)
            if value is not None and not isinstance(value, kind):
                return f"its {name} is no {kind.__name__}"
    if not all(_is_time(headers.get(name)) for name in ("eta", "expires")):
        return "its eta or its expiry is no time"
    if not all(isinstance(name, str) for name in headers.get("stamped_headers") or ()):
        return "its stamped_headers are no names"
    return None


def _is_number(value: object) -> bool:
    # JSON as Python reads it knows NaN and infinity.
    return isinstance(value, int | float) and math.isfinite(value)


def _is_time(value: object) -> bool:
    if value is None:
        return True
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _damaged_body(body: object, encoding: object, task: str) -> str | None:
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
    arguments, named, options = parts
    if task == RUN_TASK and (named or len(arguments) > 1):
        return "it has arguments that no message of its task has"
    for name, kind in _OPTIONS.items():
        value = options.get(name)
        signatures = value if isinstance(value, list) else [value]
        if value is not None and (
            not isinstance(value, kind) or not all(_is_signature(one) for one in signatures)
        ):
            return f"its {name} is not made of signatures"
    return None


def _is_signature(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), str)


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
        envelope: Any = None
        try:
            text = bytes_to_str(item)
            envelope = json.loads(text)
            problem = _damaged(envelope, is_task=not queue.endswith(_REPLIES))
        except UnicodeDecodeError:
            text, problem = repr(item), "it is not UTF-8"
        except (ValueError, RecursionError):
            problem = "it is not JSON"
        if problem is not None:
            self.put_aside(text, queue, problem)
            return
        if envelope["headers"].get("task") == RUN_TASK:
            # Results are written by the acts; what a message wishes must not overwrite them.
            envelope["headers"]["ignore_result"] = True
        self.connection._deliver(envelope, queue)  # noqa: SLF001 - as kombu's own

    def put_aside(self, text: str, queue: str, problem: str, detail: str = "") -> None:
        """Keep a message that cannot be run for a look, and log the first of its kind.

        Args:
            text: the message; the beginning of it is kept.
            queue: where it stood.
            problem: what is wrong with it; one of few texts, by which kinds are told apart.
            detail: what else to log.
        """
        key = self.rejected_key
        if problem not in self._seen_damage:
            self._seen_damage.add(problem)
            # The text itself is not logged: it is hostile, or private.
            logger.error(
                "Rejected a message of queue %r: %s%s. It is kept in %r; more of this kind are "
                "not logged.",
                queue,
                problem,
                f" ({detail[:80]!r})" if detail else "",
                key,
            )
        with self.conn_or_acquire() as client:
            try:
                # Lower case, since kombu's client puts its prefix before the keys of commands
                # that it knows, in capitals: this key has its own.
                client.execute_command("lpush", key, text[:KEPT_BYTES])
                client.execute_command("ltrim", key, 0, KEPT_REJECTED - 1)
            except self.connection.channel_errors as error:
                # Redis is full, or read-only: no reason for a worker to end.
                logger.error("A rejected message of queue %r cannot be kept: %s", queue, error)  # noqa: TRY400 - nothing to trace


class Transport(kombu_redis.Transport):
    """The transport of `create_app`."""

    Channel = Channel


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same on a Redis whose master Sentinel names."""

    from_transport_options = (  # type: ignore[assignment] # of both
        *kombu_redis.SentinelChannel.from_transport_options,
        "rejected_key",
    )


class SentinelTransport(Transport):
    """The transport of `create_app` for `sentinel://`."""

    default_port = kombu_redis.SentinelTransport.default_port  # type: ignore[assignment] # kombu: None
    Channel = SentinelChannel
