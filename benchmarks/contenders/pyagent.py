"""pyagent_orch on a worker of its own: every task recorded, with its events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender
from benchmarks.processes import WorkerProcess, celery_arguments
from benchmarks.work import text_of
from pyagent_orch import Orchestrator, Settings, Task


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

    def close(self) -> None:
        """End the worker and the client."""
        self.stop_worker()
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

    def count_done(self, handles: Sequence[Any]) -> int:
        """Count the results' keys: the act that finishes a task writes Celery's result, too."""
        keys = [f"celery-task-meta-{task.id}" for task in handles]
        done: Any = self.server.client(self.database).exists(*keys)
        return int(done)
