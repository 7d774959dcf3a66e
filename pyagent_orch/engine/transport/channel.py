"""A worker's and a client's channel: kombu's, which checks what it reads and takes by a taker.

Without a taker it reads its queues as kombu does: a client its replies, and a
worker under the setting `transport=kombu`. With one it never pops a message: an
act takes them and makes them safe in the same step, and when the queues are
empty it waits at their bells. Knows of the acts only what the taker says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import Empty
from time import monotonic
from typing import Any, Protocol

from celery.utils.log import get_logger
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps

from pyagent_orch.engine.message import RUN_TASK, Envelopes
from pyagent_orch.engine.transport.checks import damage, damage_of
from pyagent_orch.engine.transport.qos import TakerQoS
from pyagent_orch.engine.transport.taker import Taker, tag_of
from pyagent_orch.store import RedisError, Taken, TakenTask, is_missing_script

logger = get_logger(__name__)

KEPT_REJECTED = 1_000
"""How many rejected messages are kept for a look."""
KEPT_BYTES = 16_384
"""How much of each."""
UNLEASED_PAUSE = 0.05
"""Seconds before the next look, for a worker that has no lease yet, or none any more."""
MOST_AT_ONCE = 100
"""How many messages one act takes where no prefetch count says less."""
_REPLIES = ".reply.celery.pidbox"
"""How the names of the queues end in which a client gets what workers answer to Celery's
remote control (`celery inspect`, Flower): envelopes without a task in them."""
_BELL_MS = 2_000
"""How long a bell is heard that nobody waits at; as in lib.lua."""


class ShortWay(Protocol):
    """Takes claimed tasks past kombu's messages; see `engine/claimed.py`."""

    def is_open(self) -> bool:
        """Whether nobody looks at what is left out."""

    def send(self, tasks: Sequence[TakenTask]) -> None:
        """Hand tasks over."""

    def fill(self) -> None:
        """Hand over what waits, where a slot is free; from any thread."""


class Message(virtual.Message):
    """A message, which is decoded already when a claim made it."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        super().__init__(payload, channel, **kwargs)
        if Envelopes.CLAIM in payload["headers"]:
            self._decoded_cache = payload["body"]


class Channel(kombu_redis.Channel):
    """A channel that survives whatever somebody pushes into its queues."""

    Message = Message
    do_restore = False
    """The stock transport pushes a copy of each running task's message when a connection is
    lost, or pickles it into a file when it cannot. The record knows better what is lost."""
    rejected_key = "rejected"
    """Where what is put aside goes."""
    bells = "bell:"
    """What the names of the lists begin with at which idle workers wait."""

    from_transport_options: tuple[str, ...] = (  # type: ignore[assignment] # two more than kombu's
        *kombu_redis.Channel.from_transport_options,
        "rejected_key",
        "bells",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.taker: Taker | None = None
        self._wake: Callable[[], object] | None = None
        self.short_way: ShortWay | None = None
        """Past kombu's messages, for claimed tasks."""
        self.idle = False
        """Whether its queues were empty when it looked, and no bell has rung since."""
        self._unleased = False
        self._asked = 0
        """How many messages the take asked for that is on its way; 0: none is."""
        self._seen_damage: set[str] = set()
        super().__init__(*args, **kwargs)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        # What is no UTF-8 comes as lone surrogates: reading must not fail over what others push.
        text = {"decode_responses": True, "encoding_errors": "surrogateescape"}
        return {**super()._connparams(asynchronous), **(text if asynchronous else {})}

    # --- taking: kombu calls the two when there is room, and when the answer is here ---------

    def take_with(self, taker: Taker, wake: Callable[[], object] | None = None) -> None:
        """From now on take messages by a taker; before anything is consumed.

        Args:
            taker: the worker's.
            wake: wakes the worker's event loop, if it has one, from any thread.
        """
        self.taker, self._wake = taker, wake
        self._qos = TakerQoS(self, taker)

    def let_go(self, tag: str) -> None:
        """A slot is free again; from any thread."""
        qos = self.qos
        qos.ack(tag)
        # While it takes or waits for a bell the loop comes round anyhow. In this order: else it
        # could have looked for free slots just before this one was, and not been woken after.
        if self._wake is not None and not self._in_poll and qos.can_consume():
            self._wake()

    def _brpop_start(self, timeout: float | None = None) -> None:
        if self.taker is None:
            super()._brpop_start(timeout)
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        command: list[str | int | float]
        if self._unleased:
            # A bell of no queue: one that rings is for those who may take.
            command = ["BRPOP", self.bells, UNLEASED_PAUSE]
        elif self.idle:
            bells = [self.bells + queue for queue in queues]
            # Not longer, since others may push as well, and ring no bell.
            command = ["BRPOP", *bells, timeout or self.brpop_timeout or 0]
        else:
            self._asked = self.qos.can_consume_max_estimate() or MOST_AT_ONCE
            command = self.taker.request(self._asked, queues)
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = monotonic()  # type: ignore[assignment] # kombu: None
        connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return self._read_and_deliver(**options)
        finally:
            if self.taker is not None:
                self.taker.end()

    def _read_and_deliver(self, **options: Any) -> bool:
        reply = self._read_reply(**options)
        asked, self._asked = self._asked, 0
        # By a bell or not, it looks again.
        self.idle = self._unleased = False
        if not reply:
            raise Empty
        if self.taker is None:
            queue = bytes_to_str(reply[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self._accept(reply[1], queue)
            return True
        if not asked:
            return True
        taken = self.taker.receive(reply)
        found = len(taken.tasks) + len(taken.others)
        self.idle = not taken.more and found < asked
        self._unleased = not taken.leased
        for one in taken.dropped:
            problem = damage(one.text)
            if problem is not None:
                self.put_aside(one.text, one.queue, problem)
            else:
                logger.info("Message of task %s dropped: %s %s", one.id, one.reason, one.status)
        if not found:
            raise Empty
        self._hand_over(self.taker, taken)
        return True

    def _read_reply(self, **options: Any) -> Any:
        client = self.client
        try:
            if self._asked:
                return client.connection.read_response()
            return client.parse_response(client.connection, "BRPOP", **options)
        except self.connection_errors:
            self._asked = 0
            client.connection.disconnect()
            raise
        except self.ResponseError as error:
            self._asked = 0
            if self.taker is None or not is_missing_script(error):
                raise
            self.taker.teach()
            return None
        finally:
            self._in_poll = None  # type: ignore[assignment] # kombu keeps a connection here
            self._flush_brpop_reauth()

    def _hand_over(self, taker: Taker, taken: Taken) -> None:
        deliver = self.connection._deliver  # noqa: SLF001 - as kombu's own
        with ExitStack() as stack:
            # All of them, also when Celery refuses one.
            for queue, text in reversed(taken.others):
                stack.callback(self._accept, text, queue)
            way = self.short_way
            if way is not None and taken.tasks and way.is_open():
                stack.callback(way.send, taken.tasks)
            else:
                for task in reversed(taken.tasks):
                    stack.callback(deliver, taker.envelope(task), task.queue)
        if taken.others or way is None or not way.is_open():
            # Nothing ahead of what goes Celery's own way: it would wait in the pool.
            taker.ahead.note_slow()
        # Whose turn it was is the last one next time.
        last = taken.others[-1][0] if taken.others else taken.tasks[-1].queue
        self._queue_cycle.rotate(last)

    def close(self) -> None:
        """Close it. What a take still brings goes back; nobody waits for a bell any more."""
        if self.taker is not None and self._in_poll:
            if self._asked:
                self._give_back(self.taker)
            self.taker.end()
            self._in_poll = None  # type: ignore[assignment] # kombu keeps a connection here
        super().close()

    def _give_back(self, taker: Taker) -> None:
        try:
            reply = self._read_reply()
            if reply:
                taker.give_all_back(taker.receive(reply))
        except (RedisError, OSError) as error:
            # The keeper finds what nobody runs.
            logger.warning("Could not give back what was taken last: %s", error)

    # --- ringing --------------------------------------------------------------------------

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if queue.endswith(_REPLIES) or "_publish_batch" in kwargs or queue in self._expires:
            super()._put(queue, message, **kwargs)
            return
        priority = self._get_message_priority(message, reverse=False)
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            pipe.lpush(self._q_for_pri(queue, priority), dumps(message))
            bell = self.bells + queue
            # Lower case as below: this key is whole already.
            pipe.execute_command("lpush", bell, "1")
            pipe.execute_command("pexpire", bell, _BELL_MS)
            pipe.execute()

    # --- checking -------------------------------------------------------------------------

    def _accept(self, item: bytes | str, queue: str) -> None:
        envelope: Any = None
        tag = None
        try:
            text = bytes_to_str(item)
            if not text.isascii():
                text.encode()
            envelope = json.loads(text)
            problem = damage_of(envelope, is_task=not queue.endswith(_REPLIES))
        except UnicodeError:
            text, problem = repr(item), "it is not UTF-8"
        except (ValueError, RecursionError):
            problem = "it is not JSON"
        if self.taker is not None:
            tag = tag_of(envelope)
            if tag is not None:
                self.taker.holding.add(tag)
                self.taker.note_brought(tag)
        if problem is not None:
            self.put_aside(text, queue, problem)
            if self.taker is not None and tag is not None:
                self.taker.done(tag)
            return
        headers = envelope["headers"]
        # Only the act may say this.
        headers.pop(Envelopes.CLAIM, None)
        if headers.get("task") == RUN_TASK:
            # Results are written by the acts; what a message wishes must not overwrite them.
            headers["ignore_result"] = True
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
        # Bytes that are no UTF-8 came as lone surrogates.
        kept = text.encode(errors="backslashreplace").decode()
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
                client.execute_command("lpush", key, kept[:KEPT_BYTES])
                client.execute_command("ltrim", key, 0, KEPT_REJECTED - 1)
            except self.connection.channel_errors as error:
                # Redis is full, or read-only: no reason for a worker to end.
                logger.error("A rejected message of queue %r cannot be kept: %s", queue, error)  # noqa: TRY400 - nothing to trace


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same on a Redis whose master Sentinel names."""

    from_transport_options = (  # type: ignore[assignment] # of both
        *kombu_redis.SentinelChannel.from_transport_options,
        "rejected_key",
        "bells",
    )
