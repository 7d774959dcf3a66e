"""`python -m benchmarks.pools`: which pool is for which work, and what its processes weigh.

The same tasks on one worker after the other: agents that wait half a second, as for a model, as
a function and as a coroutine, and agents that compute. What a pool could do at the best is
computed: all slots always waiting, or all cores always computing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import agents
from benchmarks.contenders.pyagent import PyAgentOrch
from benchmarks.processes import WorkerProcess
from benchmarks.server import Server
from benchmarks.work import WAIT_SECONDS
from pyagent_orch import Orchestrator, Settings, Task

POOLS = (
    ("threads", 8),
    ("threads", 64),
    ("threads", 256),
    ("threads", 512),
    ("gevent", 64),
    ("gevent", 512),
    ("prefork", 2),
    ("prefork", 8),
)
TURNS = 4
"""How often each slot is used for a figure."""
COMPUTED = 200
_MIB = 2**20


class Pools:
    """The measurements."""

    def __init__(self, server: Server, directory: Path) -> None:
        self._contender = PyAgentOrch(server, directory)
        self._contender.open()
        self._orchestrator = Orchestrator(settings=Settings(redis_url=self._contender.url))

    def close(self) -> None:
        """End all."""
        self._orchestrator.close()
        self._contender.close()

    def measure(self, pool: str, slots: int) -> None:
        """Run each kind of work on a worker of one pool, and print a line."""
        self._contender.start_worker(pool, slots)
        worker = self._contender.worker
        assert worker is not None
        self._rate(agents.wait, slots)
        idle = worker.memory() / _MIB
        waiting = [self._rate(agent, TURNS * slots) for agent in (agents.wait, agents.wait_async)]
        computed = self._rate(agents.compute, COMPUTED)
        _say(
            f"{pool} {slots}",
            *(f"{rate:,.0f}/s ({100 * rate * WAIT_SECONDS / slots:.0f} %)" for rate in waiting),
            f"{computed:,.1f}/s",
            f"{idle:,.0f} MiB",
            f"{worker.memory() / _MIB:,.0f} MiB",
            f"{_each(worker):,.0f} MiB",
        )
        self._contender.stop_worker()

    def _rate(self, agent: object, count: int) -> float:
        """Tasks a second, from submit to the last output."""
        began = time.perf_counter()
        tasks = self._orchestrator.submit_many([Task(agent, "x") for _ in range(count)])
        for task in self._orchestrator.wait(*tasks, timeout=120):
            task.result()
        return count / (time.perf_counter() - began)


def _each(worker: WorkerProcess) -> float:
    """MiB of a process of the pool; that of the worker where it is the only one."""
    return worker.memory(pool_only=len(worker.pids) > 1) / _MIB / max(1, len(worker.pids) - 1)


def _say(first: str, *cells: str) -> None:
    print("  ".join([first.ljust(12), *(cell.rjust(15) for cell in cells)]), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pools", description=__doc__)
    usual = [f"{pool}:{slots}" for pool, slots in POOLS]
    parser.add_argument("pools", nargs="*", metavar="POOL:SLOTS", help=f"default: {usual}")
    options = parser.parse_args(arguments)
    chosen = [one.partition(":") for one in options.pools or usual]
    began = time.perf_counter()
    agents.compute("x")
    alone = time.perf_counter() - began
    print(f"{os.cpu_count()} cores; computing takes {1000 * alone:.0f} ms alone")
    _say("", "wait", "wait, async", "compute", "memory", "memory after", "a process")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyagent-pools-")))
        pools = Pools(stack.enter_context(Server()), directory)
        stack.callback(pools.close)
        for pool, _, slots in chosen:
            if pool in {"gevent", "eventlet"} and find_spec(pool) is None:
                _say(f"{pool} {slots}", "not installed")
            else:
                pools.measure(pool, int(slots))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
