"""A server, workers and a stream of tasks, to inject faults into."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from support.fault_agents import noted
from support.fleet import Fleet, Worker, until
from support.load import Account, Load
from support.raw_server import RawServer

AGENTS = {"PYAGENT_ORCH_AGENTS": "support.fleet_agents,support.fault_agents"}
FAST = {
    # So that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "3",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.5",
    # Here a task may meet with many kills that are not its fault.
    "PYAGENT_ORCH_MAX_WORKER_LOSSES": "100",
}
KILLS = {
    # Celery's pool, and which of a worker's processes die.
    "threads worker": ("threads", "group"),
    "prefork child": ("prefork", "child"),
    "prefork parent": ("prefork", "parent"),
    "prefork group": ("prefork", "group"),
    "gevent worker": ("gevent", "group"),
}


class Rig:
    """A context manager: a server of its own with `workers` workers, and later a `Load`.

    Args:
        directory: for the server's data and the workers' logs.
        pool: Celery's pool.
        workers: how many.
        concurrency: of each.
        env: settings of the workers.
        server: options of the server.
        server_environment: of its process; None: ours.
    """

    def __init__(
        self,
        directory: Path,
        *,
        pool: str = "threads",
        workers: int = 2,
        concurrency: int = 4,
        env: dict[str, str] | None = None,
        server: dict[str, str] | None = None,
        server_environment: dict[str, str] | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.pool, self.count = directory, pool, workers
        self.concurrency, self.env = concurrency, {**AGENTS, **(FAST if env is None else env)}
        self.raw = RawServer(directory, server_environment, **(server or {}))
        self.killed: set[int] = set()
        self.faults = 0
        self.recoveries: list[float] = []
        self.fleet: Fleet
        self.load: Load

    def __enter__(self) -> Self:
        self.raw.start()
        self.fleet = Fleet(self.raw.url, "rig", self.directory)
        self.orchestrator = self.fleet.orchestrator
        for _ in range(self.count):
            self.start(wait=False)
        until(lambda: len(self.orchestrator.workers()) >= self.count, 60)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.raw.thaw()
            self.fleet.close()
        finally:
            self.raw.__exit__()

    def start(self, *, wait: bool = True) -> Worker:
        """Start a worker more."""
        return self.fleet.start(self.pool, self.concurrency, env=self.env, wait=wait)

    @property
    def living(self) -> list[Worker]:
        """The workers that have not been ended."""
        return [worker for worker in self.fleet.workers if worker.process.poll() is None]

    def begin(self, seconds: tuple[float, float] = (0.1, 0.6), pause: float = 0.1) -> Load:
        """Start the stream of tasks, and wait until one runs."""
        self.load_only(seconds, pause)
        until(self.load.running, 20)
        return self.load

    def load_only(self, seconds: tuple[float, float] = (0.1, 0.6), pause: float = 0.1) -> Load:
        """Start the stream of tasks."""
        self.load = Load(self.orchestrator, self.directory / "runs", seconds, pause)
        self.load.__enter__()
        return self.load

    # --- faults -------------------------------------------------------------------------

    def outage(
        self, begin: Callable[[], object], end: Callable[[], object], seconds: float
    ) -> None:
        """Redis is away for so long; then wait until tasks are done again."""
        until(self.load.running, 20)
        self.faults += 1
        self.load.fault()
        begin()
        time.sleep(seconds)
        end()
        self.recover()

    def recover(self) -> None:
        """Wait until tasks are submitted and done again; notes how long that takes."""
        began = time.monotonic()
        value = {"log": os.devnull, "seconds": 0.0}
        until(lambda: self.load.submitted_after(began), 30)
        self.orchestrator.submit(noted, value, priority=1).wait(timeout=30)
        self.recoveries.append(time.monotonic() - began)

    def strike(self, worker: Worker, number: signal.Signals, who: str = "group") -> None:
        """Send a signal to a worker that is at work: to its parent, a pool child, or all of it."""
        until(lambda: self.is_busy(worker), 30, pause=0.005)
        processes = processes_of(worker)
        if who == "parent":
            targets = [worker.pid]
        elif who == "child":
            targets = [pid for pid in processes if pid != worker.pid and self.is_busy(worker, pid)]
            targets = (targets or [pid for pid in processes if pid != worker.pid])[:1]
        else:
            targets = processes
        self.faults += 1
        self.load.fault()
        if number == signal.SIGKILL:
            self.killed.update(targets)
        for pid in targets:
            os.kill(pid, number)

    def has_lease(self, worker: Worker) -> bool:
        """Whether Redis knows it as a living worker."""
        return any(name.startswith(worker.name) for name in self.orchestrator.workers())

    def is_busy(self, worker: Worker, pid: int | None = None) -> bool:
        """Whether an agent is at work in it, or in one of its processes."""
        at_work = self.load.at_work()
        return bool(at_work & ({pid} if pid else set(processes_of(worker))))

    # --- the end --------------------------------------------------------------------------

    def settle(self, timeout: float = 90) -> Account:
        """Stop the stream and account for all tasks."""
        account = self.load.finish(timeout, killed=self.killed)
        account.assert_whole()
        return account


def processes_of(worker: Worker) -> list[int]:
    """Ids of the processes of a worker's group, the parent's first."""
    told = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in told.splitlines()]
    found = {
        int(pid) for pid, group, state in rows if int(group) == worker.pid and "Z" not in state
    }
    return sorted(found, key=lambda pid: (pid != worker.pid, pid))
