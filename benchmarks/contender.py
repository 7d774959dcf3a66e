"""What a case asks of a contender, whichever library it is.

Cases know this and no library; contenders know their library and no case.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import WorkerProcess
from benchmarks.server import Server


class Contender(ABC):
    """One library at work: a client in this process, and at most one worker.

    Handles are what its own submit returns. `open` before use, `close` after; again and again.

    Args:
        server: the benchmark's server.
        directory: for logs and gates.
    """

    name: str
    database: int
    """Its database on the server; another one for each contender."""
    imports: str
    """The statement that imports it."""
    program: str
    """A whole program that submits one task, on one line."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server, self.directory = server, directory
        self.url = server.url(self.database)
        self.worker: WorkerProcess | None = None

    @abstractmethod
    def open(self) -> None:
        """Make the client."""

    @abstractmethod
    def close(self) -> None:
        """End the client and, if it runs, the worker."""

    @abstractmethod
    def start_worker(self, pool: str, concurrency: int) -> None:
        """Start a worker and wait until it takes tasks.

        Args:
            pool: `threads` or `prefork`.
            concurrency: slots of the pool.
        """

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What its worker, and its `program`, find in the environment."""

    def stop_worker(self) -> None:
        """End the worker. Idempotent."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.stop()

    @abstractmethod
    def submit(self, number: int) -> object:
        """Submit one no-op task, the usual way; returns its handle."""

    @abstractmethod
    def submit_many(self, count: int) -> Sequence[object]:
        """Submit no-op tasks in the fastest way that the library documents."""

    @abstractmethod
    def hold(self, gate: Path) -> object:
        """Submit a task that keeps a slot busy until the gate exists."""

    @abstractmethod
    def call(self, number: int) -> object:
        """Submit one no-op task and wait for its output, the usual way; returns the output."""

    @abstractmethod
    def count_done(self, handles: Sequence[object]) -> int:
        """How many of these tasks have a stored result; one cheap look from outside."""
