"""How long it takes from submit to result on an idle worker."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import quantiles

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from benchmarks.draining import warm_up


class Latency(Case):
    """One task at a time: submit it, wait for its output."""

    pool: str
    concurrency: int

    def prepare(self, contender: Contender) -> None:
        """Start the worker."""
        contender.start_worker(self.pool, self.concurrency)
        warm_up(contender, self.concurrency)
        contender.call_times(20)

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Call some, one after the other."""
        times = [1000 * seconds for seconds in contender.call_times(self.size.calls)]
        percentiles = quantiles(times, n=100)
        p50, p99 = self.metrics
        return {p50.name: percentiles[49], p99.name: percentiles[98]}


class ThreadsLatency(Latency):
    """On a pool of threads."""

    name = "latency-threads"
    metrics = (
        Metric("submit to result, threads, p50", "ms", "lower", bar=0.75),
        Metric("submit to result, threads, p99", "ms", "lower"),
    )
    pool, concurrency = "threads", 8


class PreforkLatency(Latency):
    """On a pool of processes."""

    name = "latency-prefork"
    metrics = (
        Metric("submit to result, prefork, p50", "ms", "lower", bar=0.75),
        Metric("submit to result, prefork, p99", "ms", "lower"),
    )
    pool, concurrency = "prefork", 2


LATENCIES = (ThreadsLatency, PreforkLatency)
