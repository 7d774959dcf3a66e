"""dramatiq, with its Redis broker and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers.client import WAIT_SECONDS, Client, url
from benchmarks.work import hold_until, small_result

backend = RedisBackend(url=url())
broker = RedisBroker(url=url())
broker.add_middleware(Results(backend=backend, store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@dramatiq.actor
def hold(gate: str) -> None:
    """Keep a slot busy until the gate opens."""
    hold_until(gate)


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`.

    Raises:
        NotImplementedError: for processes: each takes more tasks than it runs, so that one may
            have the tasks that keep the slots of all busy.
    """
    if pool == "prefork":
        raise NotImplementedError(pool)
    return ["-m", "dramatiq", __name__, "-p", "1", "-t", str(concurrency)]


class Dramatiq(Client):
    """`send` and `get_result(block=True)`."""

    def __init__(self) -> None:
        self._redis: Any = redis.Redis.from_url(url())

    def submit(self, text: str) -> str:
        """One `send`."""
        return backend.build_message_key(noop.send(text))

    def hold(self, gate: str) -> str:
        """One `send`."""
        return backend.build_message_key(hold.send(gate))

    def call(self, text: str) -> object:
        """`send(...).get_result(block=True)`."""
        return noop.send(text).get_result(block=True, timeout=int(1000 * WAIT_SECONDS))

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the results' keys."""
        return int(self._redis.exists(*ids))


def make_client() -> Client:
    """Make the client."""
    return Dramatiq()
