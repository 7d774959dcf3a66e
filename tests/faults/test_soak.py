"""Minutes of random kills under mixed work: every task final, every output right, no key left."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pyagent_orch import (
    IllegalMoveError,
    Orchestrator,
    OrchestratorConnectionError,
    RetryPolicy,
    Settings,
    Task,
    Workflow,
)
from support.fault_report import Report
from support.fleet import until
from support.fleet_agents import async_sleep, echo, fail, fail_until, upper
from support.load import Account
from support.rig import FAST, Rig

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(3600)]
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
TTL = 30
"""Seconds that finished records stay."""


class Mixed:
    """Submits all kinds of work, and knows how each has to end."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator
        self.expected: list[tuple[Task | Workflow, str, Any]] = []
        self.told: Counter[str] = Counter()
        self.refused = self.checked = 0
        self.lost: list[str] = []
        self.wrong: list[str] = []

    def submit_one(self, number: int) -> None:
        kind = random.choice([self.plain, self.slow, self.failing, self.retried, self.diamond])
        live, status, output = kind(number)
        live.callback = lambda live: self.told.update([live.id])
        while True:
            try:
                live = self._send(live)
            except OrchestratorConnectionError:
                self.refused += 1
                time.sleep(0.1)
            else:
                self.expected.append((live, status, output))
                return

    def _send(self, live: Task | Workflow) -> Task | Workflow:
        if isinstance(live, Task):
            return self.orchestrator.submit(live)
        try:
            return self.orchestrator.submit_workflow(live)
        except IllegalMoveError:
            # Recorded by a try whose answer was lost, and final by now.
            self.told[live.id] += 1
            return self.orchestrator.get_workflow(live.id)

    def plain(self, number: int) -> tuple[Task, str, Any]:
        value = {"n": number}
        return Task(echo, value, delay=random.choice([0, 0, 1.5])), "completed", value

    def slow(self, _: int) -> tuple[Task, str, Any]:
        task = Task(async_sleep, random.uniform(0.2, 1.5), priority=random.randint(1, 10))
        return task, "completed", "slept"

    def failing(self, number: int) -> tuple[Task, str, Any]:
        return Task(fail, f"no {number}"), "failed", None

    def retried(self, _: int) -> tuple[Task, str, Any]:
        policy = RetryPolicy(max_attempts=50, delay_seconds=0.1, max_delay_seconds=0.2)
        return Task(fail_until, {"attempt": 3}, retry=policy), "completed", ...

    def diamond(self, number: int) -> tuple[Workflow, str, Any]:
        first = Task(echo, f"n{number}", name="first")
        left = Task(upper, "left {first.output}", name="left")
        right = Task(upper, "right {first.output}", name="right")
        last = Task(echo, "{left.output} and {right.output}", name="last")
        workflow = Workflow(
            name="diamond",
            tasks=[first, left, right, last],
            dependencies={"left": ["first"], "right": ["first"], "last": ["left", "right"]},
        )
        return workflow, "completed", f"LEFT N{number} and RIGHT N{number}"

    def check_finished(self) -> None:
        """Compare what has ended since the last time, before its record expires."""
        for entry in [one for one in self.expected if self.told[one[0].id]]:
            live, status, output = entry
            try:
                found = live.status, live.output
            except OrchestratorConnectionError:
                return
            self.expected.remove(entry)
            self.checked += 1
            if found[0] != status:
                self.lost.append(f"{live!r} {getattr(live, 'error', '')}")
            elif output is not ... and found[1] != output:
                self.wrong.append(f"{live!r} {found[1]!r}, not {output!r}")

    def account(self) -> Account:
        """Wait for all, and compare."""
        until(lambda: self.check_finished() or not self.expected, 90, pause=0.1)
        told_twice = [i for i, count in self.told.items() if count > 1]
        return Account(self.checked, self.lost, self.wrong, told_twice, [], [], [])


def test_nothing_is_lost_or_left_behind_in_a_soak(rig: Callable[..., Rig], report: Report) -> None:
    it = rig(workers=3, env={**FAST, "PYAGENT_ORCH_RECORD_TTL_SECONDS": str(TTL)})
    settings = Settings(redis_url=it.raw.url, namespace="rig", record_ttl_seconds=TTL)
    orchestrator = Orchestrator(settings=settings)
    before = kinds_of_keys(it)
    mixed = Mixed(orchestrator)
    end = time.monotonic() + SECONDS
    next_kill, next_restart, number = time.monotonic() + 2, time.monotonic() + 7, 0
    while time.monotonic() < end:
        number += 1
        mixed.submit_one(number)
        time.sleep(random.uniform(0.02, 0.1))
        mixed.check_finished()
        if time.monotonic() > next_kill:
            random.choice(it.living).kill_group()
            it.start(wait=False)
            it.faults += 1
            next_kill = time.monotonic() + random.uniform(2, 5)
        if time.monotonic() > next_restart:
            it.raw.kill()
            it.raw.start()
            it.faults += 1
            next_restart = time.monotonic() + random.uniform(5, 15)
    account = mixed.account()
    report.add("soak: kill -9 of workers and Redis", it.faults, account)
    assert not account.lost
    assert not account.changed
    assert not account.told_twice
    # What is finished goes after its time, and nothing else stays.
    until(lambda: kinds_of_keys(it) <= before, TTL + 30, pause=0.5)
    orchestrator.close()


def kinds_of_keys(it: Rig) -> Counter[str]:
    """Names of the keys in Redis without ids, and how many there are of each."""
    with_ids = ("task", "agent", "key", "workflow", "worker", "running", "cancels")
    kinds: Counter[str] = Counter()
    for key in it.raw.run("KEYS", "*"):
        name = str(key).removeprefix("pyagent:1:rig:").removeprefix("rig:")
        kind = next((one for one in with_ids if name.startswith(f"{one}:")), name)
        if name.startswith("celery-task-meta-"):
            kind = "result"
        # The stream is capped, and so are the counters; two are the sweep's clock; kombu's are
        # as many as queues.
        if kind not in ("events", "swept", "sweeping", "metrics") and "kombu" not in kind:
            kinds[kind] += 1
    return kinds
