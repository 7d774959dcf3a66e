"""What looking at an installation costs, and that it costs the same however much has finished.

Plain Celery has nothing of the kind, so the figures are ours alone: the bar that they have
to keep is looked after by tests/integration/test_looking_cost.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from statistics import median
from uuid import uuid4

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from pyagent_orch import Orchestrator
from pyagent_orch.metrics import exposition

FEW, MANY = 1_000, 100_000
_TURNS, _BLOCK, _PAGE = 15, 5, 5_000
LOOKS: Mapping[str, Callable[[Orchestrator], object]] = {
    "top": lambda orch: (orch.measure(), orch.activity(20)),
    "metrics": exposition,
    "list": lambda orch: orch.tasks(limit=20),
}
"""Maps a command to the calls that it makes."""


def fill(orchestrator: Orchestrator, count: int) -> None:
    """Write finished tasks as the acts leave them, without running any."""
    store = orchestrator._store  # noqa: SLF001 - a hundred thousand runs would take minutes
    keys, client = store.keys, store.client
    now = int(time.time() * 1000)
    for start in range(0, count, _PAGE):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(count, start + _PAGE)):
            task_id, moment = f"done-{number}", now - count + number
            fields = {
                "name": f"task {number % 20}", "agent": "none", "input": '"x"', "queue": "agents",
                "priority": 5, "status": "completed", "created": moment, "finished": moment,
                "attempts": 1, "run": 1,
            }  # fmt: skip
            pipe.hset(keys.task(task_id), mapping=fields)
            pipe.set(keys.result(task_id), '{"status":"SUCCESS","result":"x"}')
            pipe.zadd(keys.status("completed"), {task_id: moment})
        pipe.execute()


def costs_of_looking(url: str, *sizes: int) -> dict[str, list[float]]:
    """Look at namespaces of several sizes in turn, so that noise meets all.

    Args:
        url: a Redis.
        sizes: how many finished tasks each has.

    Returns:
        Maps each of `LOOKS` to the seconds that one took for each size, the median of the turns.
    """
    with ExitStack() as stack:
        orchestrators = [
            stack.enter_context(Orchestrator(redis_url=url, namespace=f"bench-{uuid4().hex[:8]}"))
            for _ in sizes
        ]
        for orchestrator, size in zip(orchestrators, sizes, strict=True):
            fill(orchestrator, size)
        costs: dict[str, list[float]] = {}
        for name, look in LOOKS.items():
            times: list[list[float]] = [[] for _ in sizes]
            for turn in range(_TURNS + 1):
                for orchestrator, taken in zip(orchestrators, times, strict=True):
                    began = time.perf_counter()
                    for _ in range(_BLOCK):
                        look(orchestrator)
                    # The first one opens connections and imports.
                    if turn:
                        taken.append((time.perf_counter() - began) / _BLOCK)
            costs[name] = [median(one) for one in times]
    return costs


class Looking(Case):
    """One client, two namespaces in turn."""

    name = "looking"
    metrics = tuple(
        Metric(f"{look}, {size:,} finished tasks", "ms", "lower")
        for look in LOOKS
        for size in (FEW, MANY)
    ) + tuple(
        Metric(f"{look}, {MANY:,} : {FEW:,} finished tasks", "x", "lower", 1.5, absolute=True)
        for look in LOOKS
    )

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Only ours has these."""
        if contender.name != "pyagent_orch":
            return {}
        costs = costs_of_looking(contender.url, FEW, MANY)
        contender.server.clear()
        figures = [1_000 * cost for look in LOOKS for cost in costs[look]]
        figures += [many / few for few, many in (costs[look] for look in LOOKS)]
        return dict(zip((metric.name for metric in self.metrics), figures, strict=True))
