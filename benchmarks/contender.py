"""What a case asks of a contender, whichever library it is.

Cases know this and no library; contenders know their library and no case.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import WorkerProcess
from benchmarks.server import Server


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers of no-op tasks; each task waits for all, or some, of the layer before."""

    layers: int
    width: int
    """Tasks of a layer."""
    fan_in: int | None = None
    """For how many of the layer before each waits, evenly spread; None for all of them."""
    joined: bool = False
    """Whether one more task waits for the whole last layer."""

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return self.layers * self.width + self.joined

    def needs(self, layer: int, place: int) -> list[int]:
        """The places in the layer before that a task waits for."""
        if layer == 0:
            return []
        if self.fan_in is None:
            return list(range(self.width))
        step = max(1, self.width // self.fan_in)
        return sorted({(place + number * step) % self.width for number in range(self.fan_in)})


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

        Raises:
            NotImplementedError: the library has no such pool.
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

    def submit_singly(self, count: int) -> float:
        """Submit no-op tasks one after the other; returns the seconds that it took."""
        began = time.perf_counter()
        for number in range(count):
            self.submit(number)
        return time.perf_counter() - began

    @abstractmethod
    def submit_many(self, count: int) -> Sequence[object]:
        """Submit no-op tasks in the fastest way that the library documents."""

    @abstractmethod
    def hold(self, gate: Path) -> object:
        """Submit a task that keeps a slot busy until the gate exists."""

    @abstractmethod
    def call(self, number: int) -> object:
        """Submit one no-op task and wait for its output, the usual way; returns the output."""

    def call_times(self, count: int) -> list[float]:
        """Call no-op tasks one after the other; returns the seconds that each took."""
        times = []
        for number in range(count):
            began = time.perf_counter()
            self.call(number)
            times.append(time.perf_counter() - began)
        return times

    def run_workflow(self, shape: Shape) -> float:
        """Submit no-op tasks that wait for one another, and wait for the last one.

        Returns:
            The seconds from submit to the end of the last.

        Raises:
            NotImplementedError: the library has no such thing.
        """
        raise NotImplementedError(f"{self.name} cannot run {shape}")

    @abstractmethod
    def count_done(self, handles: Sequence[object]) -> int:
        """How many of these tasks have a stored result; one cheap look from outside."""

    # --- scheduled jobs; NotImplementedError where a library has none like Celery's --------

    may_have_two_beats = False
    """Whether a second beat fires nothing twice."""

    def ticks(self, others: int, due: int, seconds: float) -> Callable[[], object]:
        """Make scheduled jobs; returns what fires all that is due, as beat does.

        Args:
            others: jobs that are due once a year.
            due: jobs that come again and again.
            seconds: how often those come.
        """
        raise NotImplementedError(f"{self.name} fires no {others + due} jobs each {seconds} s")

    def start_beat(self, seconds: float) -> WorkerProcess:
        """Start beat with one job, and wait until it runs.

        Args:
            seconds: how often the job comes.
        """
        raise NotImplementedError(f"{self.name} has no beat that fires each {seconds} s")

    def count_fired(self) -> int:
        """How often that job was fired; one cheap look from outside."""
        raise NotImplementedError(f"{self.name} has no beat")
