"""Celery's consumer, less the harm that a message of an unknown task and a refusing Redis do.

Celery's own logs each such message with all that is in it, and writes a failure
over whatever result is recorded under its id. And it ends the worker when Redis
is read-only or full, where it would go on trying if Redis were away.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

from celery import signals
from celery.exceptions import NotRegistered
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer

from pyagent_orch.engine.claimed import ShortWay
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.engine.transport import Channel, Taker
from pyagent_orch.store import RedisError, is_outage

logger = get_logger(__name__)

RECONNECT_PAUSE = 2.0
"""Seconds between two tries to connect."""
REFUSED_PAUSE = 1.0
"""Seconds before the next try when Redis is there and refuses."""


def _look() -> None:
    """Nothing: an event loop that was woken looks for free slots by itself."""


class Consumer(CeleryConsumer):  # type: ignore[misc] # Celery has no types
    """The consumer of `create_app`'s workers (Celery's `worker_consumer`)."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc] # Celery has no types
        """Takes a Redis that refuses for a while for one that is away."""

        def start(self, parent: Any) -> None:
            """Start the consumer's steps, of which the last is its loop.

            Raises:
                ConnectionError: Redis is read-only, full or failing over. Celery ends the
                    worker on a refusal, and connects anew after a lost connection.
            """
            try:
                super().start(parent)
            except RedisError as error:
                if isinstance(error, OSError) or not is_outage(error):
                    raise
                # It refuses at once, where a connection that is lost takes its time.
                time.sleep(REFUSED_PAUSE)
                raise ConnectionError(f"Redis refuses for now: {error}") from error

    def connect(self) -> Any:
        """Connect, and take from the queues by the worker's taker."""
        connection = super().connect()
        runtime = runtime_of(self.app)
        channel = connection.default_channel
        if runtime.settings.transport == "pyagent" and isinstance(channel, Channel):
            if runtime.taker is None:
                runtime.taker = Taker(runtime, len(channel.priority_steps))
            hub = self.hub
            channel.take_with(runtime.taker, hub and partial(hub.call_soon, _look))
            channel.short_way = ShortWay(self, channel, runtime.taker.ahead)
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and try on for as long as it takes."""
        # kombu waits two seconds longer after each try, up to thirty: after an outage of a
        # minute a fleet would stand idle for a quarter of one.
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RECONNECT_PAUSE,
            interval_step=0,
            interval_max=RECONNECT_PAUSE,
        )
        return super().ensure_connected(conn)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's
        """Put a message aside whose task is not registered here."""
        name, task_id = message.headers["task"], message.headers["id"]
        self._put_aside(message, "its task is not registered in this worker", name)
        if runtime_of(self.app).store.records.get_many([task_id])[0] is None:
            # A plain Celery client may wait for it; a recorded task has its own end.
            self.app.backend.mark_as_failure(task_id, NotRegistered(name))
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=task_id)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's
        """Put a message aside that Celery refuses."""
        self._put_aside(message, "Celery refuses it", str(exc))
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def _put_aside(self, message: Any, problem: str, detail: str) -> None:
        text = json.dumps(
            {
                "headers": message.headers,
                "properties": message.properties,
                "body": message.body if isinstance(message.body, str) else repr(message.body),
            },
            default=repr,
        )
        queue = str(message.delivery_info.get("routing_key"))
        message.channel.put_aside(text, queue, problem, detail)
        message.reject_log_error(logger, self.connection_errors)
