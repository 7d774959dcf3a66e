"""What a state file costs, and that it costs the same however much is in it; no worker runs.

Celery has none, so the figures are ours alone: the bar that they have to keep is
looked after by tests/integration/test_state_file_cost.py.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
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


def costs_of_submit(url: str, *sizes: int | None) -> list[float]:
    """Submit tasks one at a time to files of several sizes in turn, so that noise meets all.

    Args:
        url: a Redis.
        sizes: how many tasks each file has before; None: no state file.

    Returns:
        Seconds of one submit for each size, the median of the turns.
    """
    times: list[list[float]] = [[] for _ in sizes]
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
            for orchestrator, taken in zip(orchestrators, times, strict=True):
                began = time.perf_counter()
                for number in range(_BLOCK):
                    orchestrator.submit(noop, text_of(number))
                taken.append((time.perf_counter() - began) / _BLOCK)
    return [median(one) for one in times]


class StateFile(Case):
    """Three clients in turn: without a file, with a small one, with a large one."""

    name = "state-file"
    metrics = (
        Metric("submit without a state file", "ms", "lower"),
        Metric("submit, 1,000 tasks in the file", "ms", "lower"),
        Metric("submit, 100,000 tasks in the file", "ms", "lower"),
    )

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Only ours has one."""
        if contender.name != "pyagent_orch":
            return {}
        costs = costs_of_submit(contender.url, None, FEW, MANY)
        contender.server.clear()
        names = (metric.name for metric in self.metrics)
        return {name: 1_000 * cost for name, cost in zip(names, costs, strict=True)}
