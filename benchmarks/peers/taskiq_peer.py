"""taskiq, with the list broker of taskiq-redis; its tasks as its guide writes them, async."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.peers.client import WAIT_SECONDS, AsyncClient, Client, url
from benchmarks.work import hold_until_async, small_result

backend: Any = RedisAsyncResultBackend(redis_url=url())
broker = ListQueueBroker(url=url()).with_result_backend(backend)


@broker.task
async def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@broker.task
async def hold(gate: str) -> None:
    """Keep a slot busy until the gate opens."""
    await hold_until_async(gate)


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`."""
    shape = ["--workers", "1", "--max-async-tasks", str(concurrency)]
    if pool == "prefork":
        shape = ["--workers", str(concurrency), "--max-async-tasks", "1"]
    return ["-m", "taskiq", "worker", f"{__name__}:broker", *shape]


class Taskiq(AsyncClient):
    """`kiq` and `wait_result`."""

    def __init__(self) -> None:
        super().__init__()
        self.run(broker.startup())
        self._redis: Any = redis.Redis.from_url(url())

    def submit(self, text: str) -> str:
        """One `kiq`."""
        return str(self.run(noop.kiq(text)).task_id)

    def submit_many(self, texts: Sequence[str]) -> list[str]:
        """One `kiq` after the other, on one turn of the loop."""

        async def submit() -> list[str]:
            return [(await noop.kiq(text)).task_id for text in texts]

        return list(self.run(submit()))

    def hold(self, gate: str) -> str:
        """One `kiq`."""
        return str(self.run(hold.kiq(gate)).task_id)

    def call(self, text: str) -> object:
        """`kiq` and `wait_result`, which polls; a hundred times as often as it does by itself."""

        async def call() -> object:
            task = await noop.kiq(text)
            return (await task.wait_result(check_interval=0.001, timeout=WAIT_SECONDS)).return_value

        return self.run(call())

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the results' keys."""
        return int(self._redis.exists(*ids))


def make_client() -> Client:
    """Make the client."""
    return Taskiq()
