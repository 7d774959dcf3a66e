"""The floor: our acts in a bare client and a bare worker loop, without Celery around them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from uuid import uuid4

from benchmarks.contenders.pyagent import PyAgentOrch
from benchmarks.processes import WorkerProcess
from benchmarks.work import text_of
from pyagent_orch import Settings, Task, create_app
from pyagent_orch.engine.dispatch import BATCH
from pyagent_orch.engine.prepare import Preparer
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.models.values import to_json
from pyagent_orch.store import Store
from pyagent_orch.store.newtasks import NewTask


class Floor(PyAgentOrch):
    """The same round trips as `pyagent_orch`, and nothing else. Workflows are its client's."""

    name = "the floor"
    database = 9

    _store: Store

    def open(self) -> None:
        """Open a store; what is the same in all tasks is made once."""
        super().open()
        settings = Settings(redis_url=self.url)
        runtime = runtime_of(create_app(settings))
        self._store = self._others.enter_context(closing(runtime.new_store()))
        preparer = Preparer(self._store, settings, local=False)
        self._fields = preparer.task(Task(self._noop, "x")).fields
        self._agents = preparer.agents
        self._reader = self._store.blocking_client()
        self._others.callback(self._reader.close)
        self._seen = self._store.events.last_id()

    def start_worker(self, pool: str, concurrency: int) -> None:
        """Start the loop.

        Raises:
            NotImplementedError: for a pool of processes: it is one.
        """
        if pool != "threads":
            raise NotImplementedError(pool)
        self.worker = WorkerProcess(
            ["-m", "benchmarks.floor", str(concurrency)],
            self.environment,
            self.directory / "floor.log",
        )
        self.worker.wait_until(lambda: bool(self._orchestrator.workers()))

    def submit(self, number: int) -> object:
        """One act."""
        return self._send([number])[0]

    def submit_many(self, count: int) -> Sequence[object]:
        """An act for each few hundred."""
        numbers = range(count)
        return [
            task
            for start in range(0, count, BATCH)
            for task in self._send(numbers[start : start + BATCH])
        ]

    def _send(self, numbers: Sequence[int]) -> list[NewTask]:
        tasks = [
            NewTask(uuid4().hex, {**self._fields, "input": to_json(text_of(number))})
            for number in numbers
        ]
        self._store.records.submit(tasks, self._agents)
        return tasks

    def call(self, number: int) -> object:
        """One act, and reads of the event stream until the task is done."""
        log = self._store.events
        task = self._send([number])[0]
        while True:
            for event in log.follow(self._seen, self._reader):
                self._seen = event.id
                if event.type == "task.completed" and event.subject == task.id:
                    return task
