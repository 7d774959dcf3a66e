"""pyagent_orch on a worker of its own: every task recorded, with its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender, Shape
from benchmarks.draining import PATIENCE
from benchmarks.processes import WorkerProcess, beat_arguments, celery_arguments
from benchmarks.work import text_of
from pyagent_orch import (
    Orchestrator,
    ScheduledJob,
    Settings,
    Task,
    Workflow,
    WorkflowStatus,
    create_app,
)
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.engine.ticker import Ticker

_JOB = "ticking"
_YEAR = 365 * 86_400.0


class PyAgentOrch(Contender):
    """`Orchestrator.submit` and `Task.result()`."""

    name = "pyagent_orch"
    database = 0
    imports = "import pyagent_orch"
    program = (
        "from pyagent_orch import Orchestrator; from benchmarks.agents import noop; "
        "Orchestrator().submit(noop, 'x')"
    )

    @property
    def environment(self) -> dict[str, str]:
        """The server's URL, and where the agents are."""
        return {"PYAGENT_ORCH_REDIS_URL": self.url, "PYAGENT_ORCH_AGENTS": "benchmarks.agents"}

    def open(self) -> None:
        """Make an orchestrator that is a client of the server."""
        from benchmarks import agents

        self._noop, self._hold = agents.noop, agents.hold
        self._orchestrator = Orchestrator(settings=Settings(redis_url=self.url))
        self._others = ExitStack()

    def close(self) -> None:
        """End the worker and the client."""
        self.stop_worker()
        self._others.close()
        self._orchestrator.close()

    def start_worker(self, pool: str, concurrency: int) -> None:
        """Start `celery -A workers.celery_app worker`."""
        self.worker = WorkerProcess(
            celery_arguments("workers.celery_app", pool, concurrency),
            self.environment,
            self.directory / f"pyagent-{pool}.log",
        )
        self.worker.wait_until(lambda: bool(self._orchestrator.workers()))

    def submit(self, number: int) -> object:
        """One `submit`."""
        return self._orchestrator.submit(self._noop, text_of(number))

    def submit_many(self, count: int) -> Sequence[object]:
        """One `submit_many`; making the tasks is part of it."""
        return self._orchestrator.submit_many(
            [Task(self._noop, text_of(number)) for number in range(count)]
        )

    def hold(self, gate: Path) -> object:
        """One `submit`."""
        return self._orchestrator.submit(self._hold, str(gate))

    def call(self, number: int) -> object:
        """`submit(...).result()`."""
        return self._orchestrator.submit(self._noop, text_of(number)).result(timeout=60)

    def run_workflow(self, shape: Shape) -> float:
        """One `submit_workflow` and `wait`; making the tasks is part of it."""
        began = time.perf_counter()
        tasks, dependencies = self._tasks_of(shape)
        workflow = Workflow(name="shape", tasks=tasks, dependencies=dependencies)
        self._orchestrator.submit_workflow(workflow).wait(timeout=PATIENCE)
        seconds = time.perf_counter() - began
        if workflow.status is not WorkflowStatus.COMPLETED:
            raise RuntimeError(f"{shape}: {workflow.status}")
        return seconds

    def _tasks_of(self, shape: Shape) -> tuple[list[Task], dict[str, list[str]]]:
        tasks = [
            Task(self._noop, text_of(place), name=f"{layer}-{place}")
            for layer in range(shape.layers)
            for place in range(shape.width)
        ]
        dependencies = {
            f"{layer}-{place}": [f"{layer - 1}-{need}" for need in shape.needs(layer, place)]
            for layer in range(1, shape.layers)
            for place in range(shape.width)
        }
        if shape.joined:
            last = [f"{shape.layers - 1}-{place}" for place in range(shape.width)]
            tasks.append(Task(self._noop, text_of(0), name="join"))
            dependencies["join"] = last
        return tasks, dependencies

    def count_done(self, handles: Sequence[Any]) -> int:
        """Count the results' keys: the act that finishes a task writes Celery's result, too."""
        keys = [f"celery-task-meta-{task.id}" for task in handles]
        done: Any = self.server.client(self.database).exists(*keys)
        return int(done)

    may_have_two_beats = True

    def ticks(self, others: int, due: int, seconds: float) -> Callable[[], object]:
        """Beat's ticker over jobs in a namespace of their own."""
        settings = Settings(redis_url=self.url, namespace=f"beat-{others}")
        orchestrator = self._others.enter_context(Orchestrator(settings=settings))
        for every in [seconds] * due + [_YEAR] * others:
            orchestrator.schedule(agent=self._noop, input="x", interval_seconds=every)
        app = create_app(settings)
        return Ticker(self._others.enter_context(closing(runtime_of(app).new_store()))).tick

    def start_beat(self, seconds: float) -> WorkerProcess:
        """Start `celery -A workers.celery_app beat`."""
        self._orchestrator.schedule(
            ScheduledJob(Task(self._noop, "x"), interval_seconds=seconds, id=_JOB)
        )
        before = self._beats_seen()
        beat = WorkerProcess(
            beat_arguments("workers.celery_app"),
            self.environment,
            self.directory / f"pyagent-beat-{before}.log",
        )
        beat.wait_until(lambda: self._beats_seen() > before)
        return beat

    def _beats_seen(self) -> int:
        return sum(event.type == "beat.started" for event in self._orchestrator.events())

    def count_fired(self) -> int:
        """As the job's record has it."""
        return self._orchestrator.get_job(_JOB).runs
