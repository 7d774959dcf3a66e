"""What a state file costs, and that it costs the same however much is in it; no worker runs.

Celery has none, so the figures are ours alone, and so is the bar, which
tests/integration/test_state_file_cost.py looks after.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from benchmarks.agents import noop
from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from benchmarks.work import text_of
from pyagent_orch import Orchestrator, Task

FEW, MANY = 1_000, 100_000
_TURNS, _BLOCK = 20, 50


@dataclass(frozen=True, slots=True)
class Costs:
    """What one call costs; seconds, the median of the turns."""

    submit: float
    cancel: float


def costs_of(url: str, *sizes: int | None) -> list[Costs]:
    """Submit tasks and cancel them, one at a time, with files of several sizes in turn, so that
    noise meets all.

    Args:
        url: a Redis.
        sizes: how many tasks each file has before; None: no state file.

    Returns:
        The costs for each size.
    """
    submits: list[list[float]] = [[] for _ in sizes]
    cancels: list[list[float]] = [[] for _ in sizes]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyagent-bench-")))
        orchestrators = [
            stack.enter_context(
                Orchestrator(
                    redis_url=url,
                    namespace=f"bench-{uuid4().hex[:8]}",
                    state_file=None if size is None else directory / f"{place}.json",
                )
            )
            for place, size in enumerate(sizes)
        ]
        for orchestrator, size in zip(orchestrators, sizes, strict=True):
            for start in range(0, size or 0, 5_000):
                count = min(5_000, (size or 0) - start)
                orchestrator.submit_many([Task(noop, text_of(n)) for n in range(count)])
            for number in range(_BLOCK):
                orchestrator.submit(noop, text_of(number))
        for _ in range(_TURNS):
            for place, orchestrator in enumerate(orchestrators):
                began = time.perf_counter()
                tasks = [orchestrator.submit(noop, text_of(number)) for number in range(_BLOCK)]
                sent = time.perf_counter()
                for task in tasks:
                    orchestrator.cancel(task.id)
                submits[place].append((sent - began) / _BLOCK)
                cancels[place].append((time.perf_counter() - sent) / _BLOCK)
    return [
        Costs(median(submit), median(cancel))
        for submit, cancel in zip(submits, cancels, strict=True)
    ]


class StateFile(Case):
    """Three clients in turn: without a file, with a small one, with a large one."""

    name = "state-file"
    metrics = tuple(
        Metric(f"{what}, {where}", "ms", "lower")
        for what in ("submit", "cancel")
        for where in (
            "without a state file", f"{FEW:,} tasks in the file", f"{MANY:,} tasks in the file"
        )
    ) + tuple(
        Metric(f"{what}, {MANY:,} : {FEW:,} tasks in the file", "x", "lower", 1.5, absolute=True)
        for what in ("submit", "cancel")
    )  # fmt: skip

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Only ours has one."""
        if contender.name != "pyagent_orch":
            return {}
        costs = costs_of(contender.url, None, FEW, MANY)
        contender.server.clear()
        submits, cancels = [one.submit for one in costs], [one.cancel for one in costs]
        figures = [1_000 * cost for cost in (*submits, *cancels)]
        figures += [submits[-1] / submits[-2], cancels[-1] / cancels[-2]]
        return dict(zip((metric.name for metric in self.metrics), figures, strict=True))
