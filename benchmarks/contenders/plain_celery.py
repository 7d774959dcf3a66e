"""Plain Celery: stock settings, results stored, no events."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender, Shape
from benchmarks.draining import PATIENCE
from benchmarks.processes import WorkerProcess, beat_arguments, celery_arguments
from benchmarks.work import text_of

_YEAR = 365 * 86_400.0


class PlainCelery(Contender):
    """`apply_async` and `AsyncResult.get()`."""

    name = "plain Celery"
    database = 1
    # What a program that does the same by hand imports.
    imports = "import celery, redis, pydantic"
    program = "from benchmarks.plain_app import noop; noop.apply_async(('x',))"

    _app: Any

    @property
    def environment(self) -> dict[str, str]:
        """The broker's URL."""
        return {"BENCHMARK_PLAIN_URL": self.url}

    def open(self) -> None:
        """Import the app, which reads its URL from the environment, as a worker does."""
        os.environ |= self.environment
        from benchmarks import plain_app

        self._app = plain_app.app
        self._noop: Any = plain_app.noop
        self._hold: Any = plain_app.hold

    def close(self) -> None:
        """End the worker and the client's connections."""
        self.stop_worker()
        self._app.close()

    def start_worker(self, pool: str, concurrency: int) -> None:
        """Start `celery -A benchmarks.plain_app worker`."""
        self.worker = WorkerProcess(
            celery_arguments("benchmarks.plain_app", pool, concurrency),
            self.environment,
            self.directory / f"plain-{pool}.log",
        )
        self.worker.wait_until(lambda: bool(self._app.control.ping(timeout=0.5)))

    def submit(self, number: int) -> object:
        """One `apply_async`."""
        return self._noop.apply_async((text_of(number),))

    def submit_many(self, count: int) -> Sequence[object]:
        """A loop: Celery has nothing else that is faster (`group` is slower)."""
        return [self._noop.apply_async((text_of(number),)) for number in range(count)]

    def hold(self, gate: Path) -> object:
        """One `apply_async`."""
        return self._hold.apply_async((str(gate),))

    def call(self, number: int) -> object:
        """`apply_async(...).get()`."""
        return self._noop.apply_async((text_of(number),)).get(timeout=60)

    def run_workflow(self, shape: Shape) -> float:
        """A chain of groups, which are chords where something follows."""
        from celery import chain, chord, group

        began = time.perf_counter()
        layers = [
            group([self._noop.si(text_of(place)) for place in range(shape.width)])
            if shape.width > 1
            else self._noop.si(text_of(0))
            for _ in range(shape.layers)
        ]
        join = [self._noop.si(text_of(0))] if shape.joined else []
        canvas = chain(*layers, *join)
        if shape.layers == 1 and join:
            canvas = chord(layers[0], join[0])
        # A canvas of many layers takes Celery minutes on a slow machine.
        canvas.apply_async().get(timeout=10 * PATIENCE, disable_sync_subtasks=False)
        return time.perf_counter() - began

    def count_done(self, handles: Sequence[Any]) -> int:
        """Count the results' keys."""
        keys = [f"celery-task-meta-{result.id}" for result in handles]
        done: Any = self.server.client(self.database).exists(*keys)
        return int(done)

    def ticks(self, others: int, due: int, seconds: float) -> Callable[[], object]:
        """Celery's own scheduler, in memory as beat has it; it fires one entry at each tick."""
        from celery.beat import Scheduler

        scheduler = Scheduler(self._app, lazy=True)
        entries = [seconds] * due + [_YEAR] * others
        scheduler.update_from_dict(
            {
                f"job {number}": {"task": "plain.noop", "schedule": every, "args": ("x",)}
                for number, every in enumerate(entries)
            }
        )

        def fire_all() -> None:
            while not scheduler.tick():
                pass

        return fire_all

    def start_beat(self, seconds: float) -> WorkerProcess:
        """Start `celery -A benchmarks.plain_app beat`."""
        sent = self.count_fired()
        beat = WorkerProcess(
            beat_arguments("benchmarks.plain_app"),
            self.environment | {"BENCHMARK_PLAIN_EVERY": str(seconds)},
            self.directory / "plain-beat.log",
        )
        beat.wait_until(lambda: self.count_fired() > sent)
        return beat

    def count_fired(self) -> int:
        """Count the messages on the queue."""
        length: Any = self.server.client(self.database).llen("celery")
        return int(length)
