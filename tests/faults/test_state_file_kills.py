"""Processes with a state file are killed at random moments of a stream of submits.

What a submit had returned is in the file, which is valid JSON after every kill, and
goes on to its end, also when the Redis beside the file is lost with the process.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, TaskStatus, WorkflowStatus
from support import fault_agents, fleet_agents  # noqa: F401 - registers what is resumed
from support.fault_report import Report
from support.fleet import ROOT, TESTS
from support.load import Account
from support.state_files import entries, lose_redis

KILLS_PER_FILE = 20
_PROGRAM = """
import os, random, sys
from support import fault_agents, fleet_agents
from pyagent_orch import Orchestrator, Task, Workflow

chance = random.Random(int(sys.argv[2]))

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

def done(live):
    say("done", live.id)

orch = Orchestrator(state_file=sys.argv[1]).start()
say("ready")
while True:
    text = "x" * chance.choice([1, 30, 500, 5000, 20000])
    kind = chance.randrange(10)
    if kind == 0:
        flow = Workflow("w", [Task(fault_agents.differing, text, name="a"),
                              Task(fleet_agents.echo, "{a.output}", name="b")], {"b": ["a"]})
        orch.submit_workflow(flow, callback=done)
        say("flow", flow.id, *(task.id for task in flow.tasks))
    elif kind == 1:
        many = orch.submit_many([Task(fault_agents.differing, text) for _ in range(20)])
        say("sent", *(task.id for task in many))
    elif kind == 2:
        task = orch.submit(fleet_agents.echo, text, delay=3600)
        say("late", task.id)
        if orch.cancel(task.id):
            say("cancelled", task.id)
    else:
        say("sent", orch.submit(fault_agents.differing, text, callback=done).id)
"""


@dataclass
class Said:
    """What the killed processes had said."""

    sent: set[str] = field(default_factory=set)
    flows: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    """Sent with a delay that no test waits for."""
    cancelled: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    told_twice: list[str] = field(default_factory=list)
    """Whose callback one process called twice."""

    def take(self, output: bytes) -> None:
        told: set[str] = set()
        # What stands behind the last line break was being written.
        for line in output.decode().split("\n")[:-1]:
            word, *names = line.split()
            if word == "flow":
                self.flows.add(names.pop(0))
            if word in {"sent", "flow", "late"}:
                self.sent.update(names)
            if word == "late":
                self.late.update(names)
            elif word == "cancelled":
                self.cancelled.update(names)
            elif word == "done":
                self.told_twice += told.intersection(names)
                told.update(names)
                self.done.update(names)


def kill_one(path: Path, seed: int) -> bytes:
    """Start a process on the file and kill it; returns what it had said."""
    log = path.with_name("log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path), str(seed)],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{TESTS}", "PATH": "/usr/bin:/bin"},
        )
    output = b""
    assert process.stdout
    try:
        # Callbacks that an earlier process promised may come before it.
        while not output.endswith(b"ready\n"):
            line = process.stdout.readline()
            assert line, log.read_text()[-3000:]
            output += line
        time.sleep(random.uniform(0, 0.3))
    finally:
        process.send_signal(signal.SIGKILL)
        output += process.communicate()[0]
    return output


def in_file(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Maps the ids of tasks, and of workflows, to their latest states in the file."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    states: dict[str, dict[str, str]] = {"task": {}, "workflow": {}}
    for entry in content["entries"]:
        noun, _, verb = entry["kind"].partition(".")
        if noun in states and verb in {"", "state"}:
            status = entry["record"].get("status") if verb else "pending"
            if verb or entry["id"] not in states[noun]:
                states[noun][entry["id"]] = status
    return states["task"], states["workflow"]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
        pytest.param(200, marks=[pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(3000)]),
    ],
)
def test_every_submit_that_had_returned_is_there_after_each_kill(
    tmp_path: Path, report: Report, kills: int
) -> None:
    seed = random.randrange(10**6)
    for first in range(0, kills, KILLS_PER_FILE):
        directory = tmp_path / str(first)
        directory.mkdir()
        last = min(first + KILLS_PER_FILE, kills)
        said = kill_and_look(directory / "state.json", range(seed + first, seed + last))
        assert len(said.sent) > 2 * (last - first)
        assert said.done
        lost, changed = come_to_an_end(directory / "state.json", said)
        account = Account(len(said.sent), lost, changed, said.told_twice, [], [], [])
        report.add("kill -9: embedded process with a state file", last - first, account)
        account.assert_whole()


def kill_and_look(path: Path, seeds: range) -> Said:
    """Kill one process after the other on one file, and look into it each time."""
    said = Said()
    for number, seed in enumerate(seeds):
        said.take(kill_one(path, seed))
        tasks, flows = in_file(path)
        assert said.sent <= tasks.keys(), (seed, number, said.sent - tasks.keys())
        assert said.flows <= flows.keys(), (seed, number)
        wrong = {name for name in said.cancelled if tasks[name] != "cancelled"}
        assert not wrong, (seed, number, wrong)
        wrong = {name for name in said.done if {**tasks, **flows}[name] != "completed"}
        assert not wrong, (seed, number, wrong)
        if number % 4 == 3:
            lose_redis(path)
    return said


def come_to_an_end(path: Path, said: Said) -> tuple[list[str], list[str]]:
    """On a new and empty Redis all of it is there, and comes to its end.

    Returns:
        What did not end as it had to, and whose output is not the one that was recorded.
    """
    recorded = outputs(path)
    lost, changed = [], []
    lose_redis(path)
    with Orchestrator(state_file=path) as orch:
        tasks = {name: orch.get_task(name) for name in said.sent}
        orch.wait(*(tasks[name] for name in said.sent - said.late), timeout=300)
        for name, task in tasks.items():
            ends = {TaskStatus.COMPLETED}
            if name in said.late:
                # A cancel whose answer was lost may have been made.
                ends = {TaskStatus.CANCELLED} | (
                    set() if name in said.cancelled else {TaskStatus.PENDING}
                )
            if task.status not in ends:
                lost.append(f"{name} {task.status}")
            if name in recorded and task.output != recorded[name]:
                changed.append(name)
        flows = {name: orch.get_workflow(name).status for name in said.flows}
        lost += [name for name, end in flows.items() if end is not WorkflowStatus.COMPLETED]
    return lost, changed


def outputs(path: Path) -> dict[str, Any]:
    """Maps the ids of completed tasks to the outputs that the file has of them."""
    found: dict[str, Any] = {}
    for entry in entries(path):
        if entry["kind"] == "task.state" and entry.get("output") is not None:
            found[entry["id"]] = entry["output"]
    return found
