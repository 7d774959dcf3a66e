"""What is decided at run time, at random and with every message delivered many times over.

Maps over lists of any length, some in sub-workflows, and the loops of the patterns:
each turn runs once, in every retry only what failed, and the outputs are exact.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest

from pyagent_orch import Orchestrator, Task, Workflow
from support.redelivery import redelivering

SECONDS = 8.0
"""How long new workflows are made."""


class Show:
    """A random workflow of flows, what it has to give, and how often each agent has to run."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.lucky = rng, False
        self.runs: Counter[str] = Counter()
        self.wanted: Counter[str] = Counter()
        self.outputs: dict[str, Any] = {}
        self._lock = threading.Lock()
        acts = [self._map, self._part, self._supervised, self._draft]
        tasks = [
            task for number in range(rng.randint(1, 5)) for task in rng.choice(acts)(f"act{number}")
        ]
        self.workflow = Workflow("show", tasks)

    def count(self, name: str) -> int:
        with self._lock:
            self.runs[name] += 1
            return self.runs[name]

    def _items(self) -> list[int]:
        return [self.rng.randrange(100) for _ in range(self.rng.choice([0, 1, 2, 7, 20]))]

    def _map(self, name: str) -> list[Task]:
        items, unlucky = self._items(), self.rng.randrange(100)

        def square(item: int) -> int:
            self.count(name)
            if item == unlucky and not self.lucky:
                raise ValueError(f"{item} is unlucky")
            return item * item

        self.wanted[name] = len(items)
        self.outputs[name] = [item * item for item in items]
        source = Task(lambda _: items, name=f"{name} items")
        self.outputs[f"{name} items"] = items
        return [source, Task(square, name=name, map=source)]

    def _part(self, name: str) -> list[Task]:
        source, mapped = self._map(f"{name} map")
        last = Task(sum, lambda: mapped.output, name="sum")
        inner = Workflow("inner", [source, mapped, last])
        squares = self.outputs.pop(f"{name} map")
        del self.outputs[f"{name} map items"]
        self.outputs[name] = sum(squares)
        return [Task(inner, name=name)]

    def _supervised(self, name: str) -> list[Task]:
        sent_back = self.rng.randint(0, 3)

        def boss(_: str) -> Any:
            if self.count(f"{name} boss") <= sent_back:
                return {"final": "no", "send_back": [{"task": "work", "feedback": "more"}]}
            return f"{name} done"

        def work(_: str) -> int:
            return self.count(f"{name} work")

        inner = Workflow(
            f"{name} team", [Task(boss, name="boss"), Task(work, "x", name="work")],
            pattern="supervisor", max_rounds=5,
        )  # fmt: skip
        self.wanted[f"{name} boss"] = self.wanted[f"{name} work"] = sent_back + 1
        self.outputs[name] = f"{name} done"
        return [Task(inner, name=name)]

    def _draft(self, name: str) -> list[Task]:
        changes, members = self.rng.randint(1, 4), self.rng.randint(1, 3)

        def write(_: str) -> str:
            return f"draft {min(changes, self.count(name))}"

        tasks = [Task(write, name=f"m{number}") for number in range(members)]
        inner = Workflow(f"{name} desk", tasks, pattern="collaborative", max_rounds=3)
        self.wanted[name] = self._turns(changes, members, most=3)
        self.outputs[name] = f"draft {min(changes, self.wanted[name])}"
        return [Task(inner, name=name)]

    @staticmethod
    def _turns(changes: int, members: int, most: int) -> int:
        """How many turns there are until a whole round changes nothing, or the last is over."""
        turns, before = members, 0
        for _ in range(most - 1):
            if before and min(changes, turns) == before:
                break
            before, turns = min(changes, turns), turns + members
        return turns


def run_one(orch: Orchestrator, rng: random.Random) -> Show:
    show = Show(rng)
    known: list[str] = []

    def task_ids() -> list[str]:
        # Asked for again and again: more come while it runs.
        known[:] = orch._store.workflows.task_ids(show.workflow.id)
        return known

    orch.submit_workflow(show.workflow)
    with redelivering(orch, task_ids, rng, copies=6):
        show.workflow.wait(15)
        if show.workflow.status == "failed":
            assert "is unlucky" in show.workflow.error
            show.lucky = True
            before = {t.id: t.attempts for t in orch.get_workflow(show.workflow.id).tasks
                      if t.status == "completed"}  # fmt: skip
            show.workflow.retry_failed().wait(15)
            after = {task.id: task.attempts for task in orch.get_workflow(show.workflow.id).tasks}
            assert before.items() <= after.items()
    assert show.workflow.status == "completed", show.workflow
    assert show.workflow.outputs == show.outputs
    if not show.lucky:
        assert show.runs == +show.wanted
    else:
        assert all(show.runs[name] >= count for name, count in show.wanted.items())
    return show


def test_random_flows_run_every_turn_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    seed = int(os.environ.get("RANDOM_WORKFLOWS_SEED") or random.randrange(1_000_000))
    done, retried, until = 0, 0, time.monotonic() + SECONDS
    with Orchestrator() as orch:
        while time.monotonic() < until:
            try:
                show = run_one(orch, random.Random(seed + done))
            except BaseException as error:
                error.add_note(f"seed {seed + done}: run_one(orch, random.Random({seed + done}))")
                raise
            done, retried = done + 1, retried + show.lucky
    assert done >= 5, "the machine is too busy for this test to say anything"
