"""How many no-op tasks a worker works off in a second."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from benchmarks.draining import drain, warm_up


class Throughput(Case):
    """A full queue, one worker."""

    pool: str
    concurrency: int

    def prepare(self, contender: Contender) -> None:
        """Start the worker."""
        contender.start_worker(self.pool, self.concurrency)
        warm_up(contender, self.concurrency)

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Work off one queue."""
        seconds = drain(contender, self.size.drained, self.concurrency)
        return {self.metrics[0].name: self.size.drained / seconds}


class ThreadsThroughput(Throughput):
    """The pool for agents that wait."""

    name = "throughput-threads"
    metrics = (Metric("throughput, threads 8", "tasks/s", "higher", bar=4.0),)
    pool, concurrency = "threads", 8


class PreforkThroughput(Throughput):
    """Celery's default pool."""

    name = "throughput-prefork"
    metrics = (Metric("throughput, prefork 2", "tasks/s", "higher", bar=1.8),)
    pool, concurrency = "prefork", 2


THROUGHPUTS = (ThreadsThroughput, PreforkThroughput)
