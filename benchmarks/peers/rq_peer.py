"""rq: a process for each worker, which forks for each job unless told not to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis
from rq import Queue
from rq.results import Result

from benchmarks.peers.client import WAIT_SECONDS, Client, url
from benchmarks.work import hold_until, small_result


def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


def hold(gate: str) -> None:
    """Keep a slot busy until the gate opens."""
    hold_until(gate)


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`: workers that do not fork, the fastest that rq has."""
    if pool != "prefork":
        raise NotImplementedError("rq has no threads")
    simple = ["--worker-class", "rq.worker.SimpleWorker"]
    return [
        "-m",
        "rq.cli",
        "worker-pool",
        "--url",
        url(),
        "-n",
        str(concurrency),
        *simple,
        "default",
    ]


class Rq(Client):
    """`enqueue`, `enqueue_many` and a wait for the latest result."""

    def __init__(self) -> None:
        self._redis: Any = redis.Redis.from_url(url())
        self._queue = Queue(connection=self._redis)

    def submit(self, text: str) -> str:
        """One `enqueue`."""
        return str(self._queue.enqueue(noop, text).id)

    def submit_many(self, texts: Sequence[str]) -> list[str]:
        """One `enqueue_many`."""
        jobs = self._queue.enqueue_many([Queue.prepare_data(noop, (text,)) for text in texts])
        return [str(job.id) for job in jobs]

    def hold(self, gate: str) -> str:
        """One `enqueue`."""
        return str(self._queue.enqueue(hold, gate).id)

    def call(self, text: str) -> object:
        """`enqueue` and a blocking wait for the result."""
        job = self._queue.enqueue(noop, text)
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = job.latest_result(timeout=1)
            if found is not None and found.type == Result.Type.SUCCESSFUL:
                return found.return_value
        raise TimeoutError(job.id)

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the results' keys."""
        return int(self._redis.exists(*(f"rq:results:{one}" for one in ids)))


def make_client() -> Client:
    """Make the client."""
    return Rq()
