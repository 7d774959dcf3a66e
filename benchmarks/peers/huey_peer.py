"""huey, with blocking reads of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huey import RedisHuey

from benchmarks.peers.client import WAIT_SECONDS, Client, url
from benchmarks.work import hold_until, small_result

huey: Any = RedisHuey("benchmark", url=url(), blocking=True)


@huey.task()
def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@huey.task()
def hold(gate: str) -> bool:
    """Keep a slot busy until the gate opens."""
    hold_until(gate)
    return True


def arguments(pool: str, concurrency: int) -> list[str]:
    """The worker's command, behind `python`."""
    kind = "process" if pool == "prefork" else "thread"
    return ["-m", "huey.bin.huey_consumer", f"{__name__}.huey", "-k", kind, "-w", str(concurrency)]


class Huey(Client):
    """A call of a task, and `get(blocking=True)`."""

    def submit(self, text: str) -> str:
        """One call."""
        return str(noop(text).id)

    def hold(self, gate: str) -> str:
        """One call."""
        return str(hold(gate).id)

    def call(self, text: str) -> object:
        """A call and `get(blocking=True)`, which polls; more often than it does by itself."""
        return noop(text).get(blocking=True, timeout=WAIT_SECONDS, backoff=1, max_delay=0.001)

    def count_done(self, ids: Sequence[str]) -> int:
        """Count the fields of the results' hash."""
        storage = huey.storage
        return sum(found is not None for found in storage.conn.hmget(storage.result_key, list(ids)))


def make_client() -> Client:
    """Make the client."""
    return Huey()
