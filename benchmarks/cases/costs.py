"""What a task costs: commands, bytes, CPU time and memory, in the server and in the worker."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.case import Metric
from benchmarks.cases.throughput import Throughput
from benchmarks.contender import Contender
from benchmarks.draining import drain
from benchmarks.server import Work

_KIB, _MIB = 1 / 1024, 1 / 2**20


class Costs(Throughput):
    """From the full queue to the last stored result; memory from before the submit."""

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Work off one queue between two looks at the books."""
        server, worker, count = contender.server, contender.worker, self.size.drained
        if worker is None:
            raise RuntimeError("prepare() starts the worker")
        memory = server.work().memory
        opened: list[tuple[Work, float]] = []
        drain(
            contender,
            count,
            self.concurrency,
            before=lambda: opened.append((server.work(), worker.cpu_seconds())),
        )
        work, cpu = opened[0]
        after = server.work()
        figures = (
            1000 * (worker.cpu_seconds() - cpu) / count,
            1000 * (after.cpu_seconds - work.cpu_seconds) / count,
            (after.reads - work.reads) / count,
            (sum(after.calls.values()) - sum(work.calls.values())) / count,
            (after.bytes_in - work.bytes_in) * _KIB / count,
            (after.bytes_out - work.bytes_out) * _KIB / count,
            (after.memory - memory) * _KIB / count,
            worker.memory() * _MIB,
        )
        return dict(zip((metric.name for metric in self.metrics), figures, strict=True))


def _metrics(pool: str) -> tuple[Metric, ...]:
    return tuple(
        Metric(f"{pool}: {name}", unit, "lower")
        for name, unit in (
            ("CPU of the worker per task", "ms"),
            ("CPU of the server per task", "ms"),
            ("reads of the server per task", "reads"),
            ("commands per task, scripts' own too", "calls"),
            ("bytes to the server per task", "KiB"),
            ("bytes from the server per task", "KiB"),
            ("memory of the server per finished task", "KiB"),
            ("memory of the worker (PSS)", "MiB"),
        )
    )


class ThreadsCosts(Costs):
    """On a pool of threads."""

    name = "costs-threads"
    metrics = _metrics("threads 8")
    pool, concurrency = "threads", 8


class PreforkCosts(Costs):
    """On a pool of processes."""

    name = "costs-prefork"
    metrics = _metrics("prefork 2")
    pool, concurrency = "prefork", 2


COSTS = (ThreadsCosts, PreforkCosts)
