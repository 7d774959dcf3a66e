"""Working off a full queue: what throughput and costs are measured on.

The worker runs and is warm; every slot is held by a gate while the queue is
filled. So neither the start of a worker nor the speed of the client counts, and
the queue is full from the first to the last moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import uuid4

from benchmarks.contender import Contender

PATIENCE = 60.0
"""Seconds."""
_TAIL = 32
"""The last tasks are looked at first: queues are first in, first out."""


def warm_up(contender: Contender, concurrency: int) -> None:
    """Have every slot of the pool run something."""
    drain(contender, 20 * concurrency, concurrency)


def drain(
    contender: Contender,
    count: int,
    concurrency: int,
    *,
    before: Callable[[], None] = lambda: None,
) -> float:
    """Fill the queue, let the worker work it off, and return the seconds that took.

    Args:
        contender: its worker runs and has nothing to do.
        count: no-op tasks.
        concurrency: slots of the worker's pool.
        before: called when the queue is full, before the clock starts.
    """
    gate = contender.directory / f"gate-{uuid4().hex[:8]}"
    for _ in range(concurrency):
        contender.hold(gate)
    _until(lambda: len(list(gate.parent.glob(f"{gate.name}.held.*"))) >= concurrency, 0.01)
    handles = contender.submit_many(count)
    before()
    began = time.perf_counter()
    gate.touch()
    wait_done(contender, handles)
    return time.perf_counter() - began


def wait_done(contender: Contender, handles: Sequence[object]) -> None:
    """Wait until all these tasks have a stored result; a look from outside every 10 ms."""
    tail = handles[-_TAIL:]
    _until(lambda: contender.count_done(tail) == len(tail), 0.01)
    _until(lambda: contender.count_done(handles) == len(handles), 0.01)


def _until(condition: Callable[[], bool], pause: float) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {PATIENCE:.0f} s")
        time.sleep(pause)
