"""streaq: one process, asynchronous, on Redis streams."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from streaq import Worker

from benchmarks.peers.client import WAIT_SECONDS, AsyncClient, Client, url
from benchmarks.work import hold_until_async, small_result

SLOTS = 8
worker: Any = Worker(redis_url=url(), concurrency=SLOTS)


@worker.task
async def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@worker.task
async def hold(gate: str) -> None:
    """Keep a slot busy until the gate opens."""
    await hold_until_async(gate)


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`."""
    if pool != "threads" or concurrency != SLOTS:
        raise NotImplementedError("streaq has one process for each worker")
    return ["-m", "streaq", "run", f"{__name__}:worker"]


class Streaq(AsyncClient):
    """`enqueue`, `enqueue_many` and `result`."""

    def __init__(self) -> None:
        super().__init__()
        self._open = AsyncExitStack()
        self.run(self._open.enter_async_context(worker))

    def submit(self, text: str) -> str:
        """One `enqueue`."""
        return str(self.run(noop.enqueue(text)).id)

    def submit_many(self, texts: Sequence[str]) -> list[str]:
        """One `enqueue_many`."""
        tasks = [noop.enqueue(text) for text in texts]
        self.run(worker.enqueue_many(tasks))
        return [str(task.id) for task in tasks]

    def hold(self, gate: str) -> str:
        """One `enqueue`."""
        return str(self.run(hold.enqueue(gate)).id)

    def call(self, text: str) -> object:
        """`enqueue` and `result`."""

        async def call() -> object:
            task = await noop.enqueue(text)
            return (await task.result(timeout=int(WAIT_SECONDS))).result

        return self.run(call())

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the results' keys."""
        keys = [worker.results_key + one for one in ids]
        return int(self.run(worker.redis.exists(keys)))


def make_client() -> Client:
    """Make the client."""
    return Streaq()
