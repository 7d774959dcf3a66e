"""arq: one process, asynchronous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.client import WAIT_SECONDS, AsyncClient, Client, url
from benchmarks.work import hold_until_async, small_result


async def noop(_context: dict[str, Any], text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


async def hold(_context: dict[str, Any], gate: str) -> None:
    """Keep a slot busy until the gate opens."""
    await hold_until_async(gate)


class WorkerSettings:
    """What `arq` reads. Eight slots; polled a hundred times as often as by itself."""

    functions: ClassVar = [noop, hold]
    redis_settings = RedisSettings.from_dsn(url())
    max_jobs = 8
    poll_delay = 0.005


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`."""
    if pool != "threads" or concurrency != WorkerSettings.max_jobs:
        raise NotImplementedError("arq has one process")
    return ["-m", "arq", f"{__name__}.WorkerSettings"]


class Arq(AsyncClient):
    """`enqueue_job` and `Job.result`."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = self.run(create_pool(WorkerSettings.redis_settings))

    def submit(self, text: str) -> str:
        """One `enqueue_job`."""
        return str(self.run(self._pool.enqueue_job("noop", text)).job_id)

    def submit_many(self, texts: Sequence[str]) -> list[str]:
        """One `enqueue_job` after the other, on one turn of the loop."""

        async def submit() -> list[str]:
            return [(await self._pool.enqueue_job("noop", text)).job_id for text in texts]

        return list(self.run(submit()))

    def hold(self, gate: str) -> str:
        """One `enqueue_job`."""
        return str(self.run(self._pool.enqueue_job("hold", gate)).job_id)

    def call(self, text: str) -> object:
        """`enqueue_job` and `result`, which polls."""

        async def call() -> object:
            job = await self._pool.enqueue_job("noop", text)
            return await job.result(timeout=WAIT_SECONDS, poll_delay=0.001)

        return self.run(call())

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the results' keys."""
        return int(self.run(self._pool.exists(*(f"arq:result:{one}" for one in ids))))


def make_client() -> Client:
    """Make the client."""
    return Arq()
