"""A stream of tasks under which faults are injected, and the account of what became of them."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from pyagent_orch import Orchestrator, OrchestratorConnectionError, Task
from support.fault_agents import noted


@dataclass
class Account:
    """What became of the tasks of one load."""

    tasks: int
    lost: list[str]
    """Not COMPLETED: id, state, error."""
    changed: list[str]
    """The output that somebody was told is not the one that is recorded."""
    told_twice: list[str]
    """The callback was called more than once, or the stream tells two ends."""
    untold: list[str]
    """The callback was never called."""
    ended_twice: list[str]
    """Two runs came to an answer: paid twice."""
    started_again: list[str]
    """More than one run began."""
    healing: list[float] = field(default_factory=list)
    """Seconds from each fault that interrupted a run to that task's next run."""

    def assert_whole(self) -> None:
        """Nothing lost, changed, or told twice."""
        assert self.tasks
        assert not self.lost, self.lost
        assert not self.changed, self.changed
        assert not self.told_twice, self.told_twice
        assert not self.untold, self.untold


class Load:
    """Submits tasks from a thread of its own until `stop`; repeats what Redis refused.

    Args:
        orchestrator: the client.
        log: the file that the agents append to.
        seconds: how long each task takes: from, to.
        pause: seconds between two submits.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        log: Path,
        seconds: tuple[float, float] = (0.05, 0.3),
        pause: float = 0.05,
    ) -> None:
        self.orchestrator, self.log = orchestrator, log
        self._seconds, self._pause = seconds, pause
        self.tasks: dict[str, Task] = {}
        self.told: dict[str, list[Any]] = defaultdict(list)
        self.refused = 0
        self.longest_submit = 0.0
        self._last_submit = 0.0
        self.faults: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._submit, daemon=True)
        self._problem: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _submit(self) -> None:
        try:
            while not self._stopping.wait(self._pause):
                self._submit_one(uuid4().hex)
        except BaseException as error:  # noqa: BLE001 - raised by finish()
            self._problem = error

    def _submit_one(self, task_id: str) -> None:
        value = {"log": str(self.log), "seconds": random.uniform(*self._seconds)}
        task = Task(noted, value, id=task_id, callback=self._tell)
        while True:
            began = time.monotonic()
            try:
                self.orchestrator.submit(task)
            except OrchestratorConnectionError:
                self.refused += 1
                # The same task again: whether it was recorded is not known, and does not matter.
                task = Task(noted, value, id=task_id, callback=self._tell)
                time.sleep(0.1)
            else:
                self.tasks[task_id] = task
                self._last_submit = time.monotonic()
                return
            finally:
                self.longest_submit = max(self.longest_submit, time.monotonic() - began)

    def _tell(self, task: Task) -> None:
        self.told[task.id].append(task.output)

    def fault(self) -> None:
        """Note that a fault happens now."""
        self.faults.append(time.monotonic())

    def runs(self) -> list[dict[str, Any]]:
        """The lines that the agents wrote, in the order of the file."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def at_work(self) -> set[int]:
        """Ids of the processes in which an agent is at work, or was when it was killed."""
        open_runs: dict[tuple[str, int], int] = {}
        for line in self.runs():
            run = (line["id"], line["pid"])
            open_runs[run] = open_runs.get(run, 0) + (1 if line["what"] == "start" else -1)
        return {pid for (_, pid), count in open_runs.items() if count > 0}

    def running(self) -> bool:
        """Whether an agent is at work."""
        return bool(self.at_work())

    def submitted_after(self, moment: float) -> bool:
        """Whether a submit has succeeded since then (monotonic clock)."""
        return self._last_submit > moment

    def finish(
        self,
        timeout: float = 60,
        *,
        expected_lost: Collection[str] = (),
        killed: Collection[int] = (),
    ) -> Account:
        """Stop submitting, wait for all tasks, and look what became of them.

        Args:
            timeout: seconds to wait.
            expected_lost: ids of tasks that are left out.
            killed: ids of processes that died of SIGKILL. An answer that one of them had and
                could not hand over any more does not count as an answer.
        """
        self.__exit__()
        assert not self._thread.is_alive(), "submit hangs"
        if self._problem is not None:
            raise self._problem
        lives = [task for task in self.tasks.values() if task.id not in expected_lost]
        self.orchestrator.wait(*lives, timeout=timeout)
        self._wait_for_callbacks(lives)
        ends = Counter(
            event.subject
            for event in self.orchestrator.events()
            if event.type in ("task.completed", "task.failed", "task.cancelled")
        )
        records = {task.id: self.orchestrator.get_task(task.id) for task in lives}
        starts, answers = self._by_task(killed)
        return Account(
            tasks=len(lives),
            lost=[
                f"{i} {task.status} {task.error or ''}"
                for i, task in records.items()
                if task.status != "completed"
            ],
            changed=[i for i, t in records.items() if any(o != t.output for o in self.told[i])],
            told_twice=[i for i in records if len(self.told[i]) > 1 or ends[i] > 1],
            untold=[i for i in records if not self.told[i]],
            ended_twice=[i for i, found in answers.items() if len(found) > 1],
            started_again=[i for i, found in starts.items() if len(found) > 1],
            healing=self._healing(starts),
        )

    def _wait_for_callbacks(self, lives: list[Task]) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(not self.told[t.id] for t in lives):
            time.sleep(0.02)

    def _by_task(
        self, killed: Collection[int]
    ) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
        starts: dict[str, list[float]] = defaultdict(list)
        answers: dict[str, list[str]] = defaultdict(list)
        for line in self.runs():
            if line["what"] == "start":
                starts[line["id"]].append(line["at"])
            elif line["pid"] not in killed:
                answers[line["id"]].append(line["answer"])
        return starts, answers

    def _healing(self, starts: dict[str, list[float]]) -> list[float]:
        """From each fault that interrupted a run to that task's next run."""
        found = []
        for times in starts.values():
            for before, after in pairwise(times):
                cause = max((at for at in self.faults if before <= at <= after), default=before)
                found.append(after - cause)
        return found
