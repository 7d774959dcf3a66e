"""`python -m benchmarks.scale`: what one Redis does for a large installation, and its walls.

Simulated are only the leases of workers that do nothing; tasks, jobs, texts and their readers
are real. The walls are computed from the server's own CPU time and memory, which hardly depend
on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.pyagent import PyAgentOrch
from benchmarks.server import Server
from benchmarks.work import text_of
from pyagent_orch import Orchestrator, ScheduledJob, Settings, Task
from pyagent_orch.store.keys import Keys

CHUNK = 10_000
BEATS = 2_000
"""Heartbeats, or looks, that one figure is measured on."""
DRAINED = 5_000
WARM = 200


@dataclass(slots=True)
class Spent:
    """What the server did in a block."""

    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    bytes_in: int = 0


@contextlib.contextmanager
def measured(server: Server) -> Iterator[Spent]:
    """Measure the server's work on a block."""
    spent, before, began = Spent(), server.work(), time.perf_counter()
    yield spent
    spent.seconds = time.perf_counter() - began
    after = server.work()
    spent.cpu = after.cpu_seconds - before.cpu_seconds
    spent.memory = after.memory - before.memory
    spent.bytes_in = after.bytes_in - before.bytes_in


class Scale:
    """The measurements, in the order in which they run: each finds what those before have left."""

    def __init__(self, server: Server, directory: Path) -> None:
        self._server = server
        self._contender = PyAgentOrch(server, directory)
        self._contender.open()
        url = self._contender.url
        self._orchestrator = Orchestrator(settings=Settings(redis_url=url))

    def close(self) -> None:
        """End all."""
        self._orchestrator.close()
        self._contender.close()

    def queue(self, count: int) -> None:
        """Queue so many tasks, which nobody takes."""
        from benchmarks.agents import noop

        done = 0
        for step in _steps(count):
            with measured(self._server) as spent:
                for first in range(done, step, CHUNK):
                    last = min(step, first + CHUNK)
                    self._orchestrator.submit_many(
                        [Task(noop, text_of(number)) for number in range(first, last)]
                    )
            added, done = step - done, step
            _say(
                f"{step:,} queued",
                f"{added / spent.seconds:,.0f}/s from one client",
                f"{_micro(spent.cpu / added)} of Redis' CPU and {spent.memory / added:,.0f} B each",
            )

    def look(self) -> None:
        """What people and monitors ask, over all that is queued."""
        orchestrator = self._orchestrator
        looks: dict[str, Callable[[], object]] = {
            "queues()": orchestrator.queues,
            "tasks(limit=50)": lambda: list(orchestrator.tasks(limit=50)),
            "workers()": orchestrator.workers,
        }
        for name, look in looks.items():
            look()
            began = time.perf_counter()
            for _ in range(20):
                look()
            _say(name, f"{(time.perf_counter() - began) / 20 * 1000:.2f} ms")

    def heartbeats(self, workers: int) -> None:
        """Leases of workers that have nothing to do."""
        fleet = self._orchestrator._connection.store.fleet  # noqa: SLF001 - a simulated worker
        for count in _steps(workers, 1):
            for number in range(count):
                fleet.heartbeat(f"lease{number}", f"worker{number}@simulated", "{}", [])
            rounds = max(1, BEATS // count)
            with measured(self._server) as spent:
                for _ in range(rounds):
                    for number in range(count):
                        fleet.heartbeat(f"lease{number}", f"worker{number}@simulated", "{}", [])
            cost = spent.cpu / (rounds * count)
            _say(f"{count} workers", f"{_micro(cost)} of Redis' CPU a heartbeat",
                 f"{100 * cost * count:.2f} % of its core at one a second each")  # fmt: skip
        for number in range(workers):
            fleet.leave(f"lease{number}", f"worker{number}@simulated", [])

    def drain(self) -> None:
        """A real worker takes some off the front of the long queue."""
        self._contender.start_worker("threads", 8)
        _until(lambda: self._completed() > WARM)
        before = self._completed()
        with measured(self._server) as spent:
            _until(lambda: self._completed() >= before + DRAINED)
            count = self._completed() - before
        self._contender.stop_worker()
        cost = spent.cpu / count
        _say(
            "one worker, threads 8",
            f"{count / spent.seconds:,.0f} tasks/s",
            f"{_micro(cost)} of Redis' CPU each: a wall at about {1 / cost:,.0f} tasks/s",
        )

    def _completed(self) -> int:
        keys = Keys("default")
        return int(self._server.client(0).zcard(keys.status("completed")))  # type: ignore[arg-type]

    def schedules(self, count: int) -> None:
        """Jobs that are not due."""
        from benchmarks.agents import noop

        with measured(self._server) as spent:
            for number in range(count):
                job = ScheduledJob(Task(noop, "x", name=f"job {number}"), interval_seconds=86_400)
                self._orchestrator.schedule(job)
        _say(
            f"{count:,} jobs added",
            f"{count / spent.seconds:,.0f}/s",
            f"{spent.memory / count:,.0f} B each",
        )
        schedules = self._orchestrator._connection.store.schedules  # noqa: SLF001 - what beat does
        with measured(self._server) as spent:
            for _ in range(BEATS):
                schedules.due("")
        _say(
            "a look of beat",
            f"{_micro(spent.cpu / BEATS)} of Redis' CPU, {_micro(spent.seconds / BEATS)} in all",
        )

    def streams(self, count: int) -> None:
        """Texts that are written by one worker process and read by one web process."""
        from benchmarks.agents import talk

        self._server.clear()
        self._contender.start_worker("threads", count)
        with measured(self._server) as spent:
            tasks = self._orchestrator.submit_many([Task(talk, "talk") for _ in range(count)])
            ours = time.process_time()
            pieces = asyncio.run(_read_all(tasks))
            ours = time.process_time() - ours
        self._contender.stop_worker()
        _say(
            f"{count:,} streams at once",
            f"{pieces:,} pieces in {spent.seconds:.1f} s",
            f"{_micro(spent.cpu / pieces)} of Redis' CPU each",
            f"{_micro(ours / pieces)} of the reader's",
        )


async def _read_all(tasks: list[Task]) -> int:
    async def read(task: Task) -> int:
        text, count = "", 0
        async for piece in task.stream():
            text = piece.text if piece.offset == 0 else text + piece.text
            count += 1
        if text != task.output:
            raise RuntimeError(f"{task.id}: what was streamed is not the output")
        return count

    return sum(await asyncio.gather(*map(read, tasks)))


def _steps(most: int, first: int = 1_000) -> Iterator[int]:
    while first < most:
        yield first
        first *= 10
    yield most


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} us"


def _say(*cells: str) -> None:
    print(
        "  ".join([cells[0].ljust(26), *(cell.ljust(30) for cell in cells[1:])]).rstrip(),
        flush=True,
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def main() -> int:
    """Run all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    for name, usual in {
        "tasks": 1_000_000,
        "workers": 100,
        "schedules": 10_000,
        "streams": 1_000,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"default: {usual:,}")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyagent-scale-")))
        scale = Scale(stack.enter_context(Server()), directory)
        stack.callback(scale.close)
        scale.queue(options.tasks)
        scale.look()
        scale.heartbeats(options.workers)
        scale.schedules(options.schedules)
        scale.drain()
        scale.streams(options.streams)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
