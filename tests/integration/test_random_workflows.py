"""Random workflows on a real worker, against a plain interpreter.

Any shape, failures, retries, joins of some, branches not taken, and messages
delivered many times over, before, while and after their task runs. A failure says
its seed; RANDOM_WORKFLOWS_SEED runs it again.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from pyagent_orch import Orchestrator, RetryPolicy, Settings, Task, Workflow
from support.random_graphs import Expected, Node, answer, descendants, interpret, random_nodes
from support.redelivery import redelivering

SECONDS = 15.0
"""How long new workflows are made."""
SOON = 3.0
"""Seconds in which a task must have started once it can; a busy machine needs some."""
STATE = {"completed": "completed", "failed": "failed", "bad": "skipped", "out": "skipped"}


class Trial:
    """One random workflow: its tasks, their real runs, and the gate that holds some up."""

    def __init__(self, nodes: list[Node], slow: set[str]) -> None:
        self.nodes, self.slow = nodes, slow
        self.lucky = False
        self.gate = threading.Event()
        self.runs: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.tasks = {node.name: self._task(node) for node in nodes}
        self.workflow = Workflow(
            "random",
            list(self.tasks.values()),
            {node.name: node.parents for node in nodes if node.parents},
        )

    def _task(self, node: Node) -> Task:
        def agent(_: Any, context: dict[str, Any]) -> str:
            with self._lock:
                self.runs[node.name] += 1
                run = self.runs[node.name]
            if node.name in self.slow:
                assert self.gate.wait(30)
            if run <= node.failures and not self.lucky:
                raise ConnectionError(f"run {run}")
            plain = node.need is not None or node.rescues
            return node.name if plain else answer(node.name, context)

        return Task(
            agent, name=node.name, need=node.need, when=node.when, on_failure=node.rescues,
            retry=RetryPolicy(max_attempts=node.attempts, delay_seconds=0),
        )  # fmt: skip

    def ended(self, names: set[str]) -> bool:
        return all(self.tasks[name].status.is_final for name in names)


def check(trial: Trial, expected: dict[str, Expected], earlier: dict[str, int]) -> None:
    """Compare what is recorded with what the interpreter says."""
    workflow = trial.workflow
    for name, end in expected.items():
        task = trial.tasks[name]
        assert task.status == STATE[end.state], (name, task.status, task.error, end)
        assert task.output == end.output, (name, task.output, end)
        assert trial.runs[name] - earlier.get(name, 0) == end.runs, (name, trial.runs[name], end)
        if end.state in {"bad", "out"}:
            assert task.error.startswith("TaskSkippedError: "), (name, task.error)
    failed = [name for name, end in expected.items() if end.state == "failed"]
    assert workflow.status == ("failed" if failed else "completed")
    if failed:
        first = min(trial.tasks[name].completed_at for name in failed)
        assert workflow.error is not None
        named = trial.tasks[workflow.error.partition(" ")[0]]
        assert named.completed_at == first
    assert workflow.progress == 1.0
    outputs = {name: end.output for name, end in expected.items() if end.state == "completed"}
    assert workflow.outputs == outputs


def check_times(trial: Trial) -> None:
    """By the recorded times: nothing starts too early, and nothing is held up by a stranger."""
    for node in trial.nodes:
        task = trial.tasks[node.name]
        if task.started_at is None or trial.runs[node.name] == 0:
            continue
        before = [trial.tasks[name] for name in (*node.parents, *node.rescues)]
        if node.rescues:
            ready = min(one.completed_at for one in before if one.status == "failed")
        elif node.need is not None:
            done = sorted(one.completed_at for one in before if one.status == "completed")
            ready = done[node.need - 1]
        elif before:
            ready = max(one.completed_at for one in before)
        else:
            ready = trial.workflow.created_at
        wait = (task.started_at - ready).total_seconds()
        assert 0 <= wait < SOON, (node, wait)


def check_events(orch: Orchestrator, trial: Trial, since: str) -> None:
    """Each event of each task and of the workflow is in the stream once."""
    names = {task.id: name for name, task in trial.tasks.items()} | {trial.workflow.id: "whole"}
    told = Counter(
        (names[event.subject], event.type.partition(".")[2])
        for event in orch.events(since)
        if event.subject in names
    )
    wanted: Counter[tuple[str, str]] = Counter()
    for name, task in trial.tasks.items():
        wanted[name, "submitted"] = wanted[name, task.status.value] = 1
        # A condition is decided by a worker, so what it skips has started.
        started = task.attempts
        wanted[name, "started"] = started
        wanted[name, "retried"] = max(0, trial.runs[name] - 1)
    ran = any(task.started_at for task in trial.tasks.values())
    for event in ("submitted", trial.workflow.status.value, *(["started"] if ran else [])):
        wanted["whole", event] = 1
    assert told == +wanted, (told - wanted, wanted - told)


def held_up(rng: random.Random, nodes: list[Node], expected: dict[str, Expected]) -> set[str]:
    """A few tasks that are made to be slow; fewer than the worker has threads."""
    running = [name for name, end in expected.items() if end.runs]
    return set(rng.sample(running, min(len(running), rng.randint(0, 3))))


def run_one(orch: Orchestrator, rng: random.Random) -> Trial:
    nodes = random_nodes(rng)
    expected = interpret(nodes)
    trial = Trial(nodes, held_up(rng, nodes, expected))
    since = orch._store.events.last_id()
    ids = [task.id for task in trial.tasks.values()]
    with redelivering(orch, lambda: ids, rng):
        orch.submit_workflow(trial.workflow)
        free = {node.name for node in nodes} - descendants(nodes, trial.slow)
        until = time.monotonic() + 10
        while not trial.ended(free):
            assert time.monotonic() < until, (
                f"held up by {trial.slow}: {trial.workflow.to_mermaid()}"
            )
            time.sleep(0.005)
        trial.gate.set()
        trial.workflow.wait(15)
    check(trial, expected, {})
    check_times(trial)
    check_events(orch, trial, since)
    if trial.workflow.status == "failed":
        earlier = dict(trial.runs)
        trial.lucky = True
        lucky = [replace(node, failures=0) for node in nodes]
        expected = interpret(lucky, before=expected)
        for end in expected.values():
            end.runs = 0 if end.state != "completed" else end.runs
        with redelivering(orch, lambda: ids, rng):
            trial.workflow.retry_failed().wait(15)
        _check_retry(trial, expected, earlier)
    return trial


def _check_retry(trial: Trial, expected: dict[str, Expected], earlier: dict[str, int]) -> None:
    """After a retry with luck: what had completed did not run again, all else once."""
    for name, end in expected.items():
        task = trial.tasks[name]
        assert task.status == STATE[end.state], (name, task.status, task.error, end)
        assert task.output == end.output, (name, task.output, end)
    assert trial.workflow.status == "completed"
    assert trial.workflow.error is None
    for name, count in trial.runs.items():
        assert count - earlier.get(name, 0) <= 1, name


def test_random_workflows_run_as_a_plain_interpreter_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Celery logs each failure with its traceback, and there are thousands on purpose.
    caplog.set_level(logging.CRITICAL)
    seed = int(os.environ.get("RANDOM_WORKFLOWS_SEED") or random.randrange(1_000_000))
    done, tasks, until = 0, 0, time.monotonic() + SECONDS
    with Orchestrator(settings=Settings(events_max_length=1_000_000)) as orch:
        while time.monotonic() < until:
            try:
                trial = run_one(orch, random.Random(seed + done))
            except BaseException as error:
                error.add_note(f"seed {seed + done}: run_one(orch, random.Random({seed + done}))")
                raise
            done, tasks = done + 1, tasks + len(trial.nodes)
    assert done >= 5, "the machine is too busy for this test to say anything"
