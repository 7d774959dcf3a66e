"""Workers that stand ready for all tests of a module: one of each pool, on a queue of its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet, until


@contextmanager
def standing_fleet(
    server: PrivateServer,
    directory: Path,
    *,
    env: dict[str, str] | None = None,
    **concurrency: int,
) -> Iterator[Fleet]:
    """Start workers side by side, since each takes seconds.

    Args:
        server: where they work, in a namespace of their own.
        directory: for their logs.
        env: settings of the workers.
        concurrency: the slots of each pool that is wanted: `prefork=2, threads=4`.
    """
    fleet = Fleet(server.broker_url, f"t{uuid4().hex[:10]}", directory)
    try:
        for pool, slots in concurrency.items():
            fleet.start(pool, slots, "-Q", pool, wait=False, env=env)
        until(lambda: len(fleet.orchestrator.workers()) == len(concurrency), 30)
        yield fleet
    finally:
        fleet.close()
