"""Celery's connections over a socket file, shown under the scheme that everybody knows.

kombu finds our transport for `redis+socket://` by a scheme of our own (see `app`); logs,
`celery inspect` and Flower, which chooses by it how to look into queues, are to see the
URL as it was given.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection

from pyagent_orch.engine.app import SOCKET_TRANSPORT


class SocketConnection(Connection):
    """A connection over a socket file."""

    def as_uri(self, *args: Any, **options: Any) -> str:
        """The URL, `redis+socket://...`."""
        shown = super().as_uri(*args, **options)
        return shown.replace(f"{SOCKET_TRANSPORT}+", "redis+", 1)


class SocketAMQP(AMQP):  # type: ignore[misc] # Celery has no types
    """Celery's message room (`app.amqp`) of an installation on a socket file."""

    Connection = SocketConnection
