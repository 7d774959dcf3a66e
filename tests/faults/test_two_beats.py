"""Two beats, one of which is killed again and again: each due time fires exactly once.

Real `celery beat` processes, real SIGKILLs.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pyagent_orch import ScheduledJob, Task
from support import fleet_agents
from support.fault_report import Report
from support.fleet import Fleet, until
from support.load import Account

JOBS = 50
FIRED = "job.fired"
FAILOVER_SECONDS = 15
"""At default settings; how long the jobs of a beat that is killed may wait for another one."""

pytestmark = pytest.mark.faults


class Beats:
    """Beat processes, each started with the command that operators use."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet, self.directory = fleet, directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "workers.celery_app", "beat", "-l", "INFO"]
        log = self.directory / f"beat-{len(list(self.directory.glob('beat-*')))}.log"
        with log.open("wb") as output:
            self.processes.append(
                subprocess.Popen(
                    command,
                    cwd=self.directory,
                    env=self.fleet.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.processes.remove(process)

    def stop(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        codes = [process.wait(10) for process in self.processes]
        self.processes.clear()
        return codes


@pytest.fixture
def beats(fleet: Fleet, tmp_path: Path) -> Iterator[Beats]:
    beats = Beats(fleet, tmp_path)
    yield beats
    for process in list(beats.processes):
        beats.kill(process)


def lateness(fleet: Fleet) -> list[float]:
    """How many seconds after its due time each run was fired, by Redis' clock."""
    return [
        (int(event.id.partition("-")[0]) - int(event.data["tick"])) / 1000
        for event in fleet.orchestrator.events()
        if event.type == "job.fired"
    ]


def ticks(fleet: Fleet) -> dict[str, list[int]]:
    """The due times that were fired, by job, in the order of their firing."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in fleet.orchestrator.events():
        if event.type == FIRED:
            found[event.subject].append(int(event.data["tick"]))
    return found


def moments(fleet: Fleet) -> list[float]:
    """When something was fired, by Redis' clock; seconds."""
    return [event.at.timestamp() for event in fleet.orchestrator.events() if event.type == FIRED]


def started(fleet: Fleet) -> int:
    return sum(event.type == "beat.started" for event in fleet.orchestrator.events())


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, id="a few kills"),
        pytest.param(None, id="many kills", marks=[pytest.mark.long, pytest.mark.slow]),
    ],
)
@pytest.mark.timeout(300)
def test_every_due_time_fires_exactly_once(
    fleet: Fleet, beats: Beats, report: Report, faults: int, kills: int | None
) -> None:
    kills = kills or faults
    rng = random.Random(20_261_122)
    orchestrator = fleet.orchestrator
    jobs = [
        orchestrator.schedule(
            ScheduledJob(
                Task(fleet_agents.echo, "{run}", name=f"job {number}"),
                interval_seconds=1,
                missed="catch_up",
                catch_up_limit=10_000,
            )
        )
        for number in range(JOBS)
    ]
    first = {job.id: int(job.next_run.timestamp() * 1000 + 0.5) for job in jobs}
    beats.start()
    beats.start()
    until(lambda: len(ticks(fleet)) == JOBS, 30)
    pause = threading.Event()
    for _ in range(kills):
        pause.wait(rng.uniform(0.2, 1.2))
        beats.kill(rng.choice(beats.processes))
        beats.start()
    counts = {job: len(found) for job, found in ticks(fleet).items()}
    until(lambda: all(len(found) > counts[job] + 1 for job, found in ticks(fleet).items()), 30)
    # One that has just started may be ended before it listens to the signal.
    assert set(beats.stop()) <= {0, -15}
    fired = ticks(fleet)
    assert len(fired) == JOBS
    for job, found in fired.items():
        assert found[0] == first[job]
        assert {after - before for before, after in pairwise(found)} == {1000}, job
    total = sum(map(len, fired.values()))
    assert total >= JOBS * kills // 2
    # What was told is what is there to be run.
    assert sum(orchestrator.counts().values()) == total
    account = Account(total, [], [], [], [], [], [])
    report.add("kill -9: one of two beats", kills, account, lateness(fleet))


def test_the_jobs_of_a_beat_that_is_killed_go_on_with_another_and_new_ones_start_at_once(
    fleet: Fleet, beats: Beats
) -> None:
    orchestrator = fleet.orchestrator
    orchestrator.schedule(agent=fleet_agents.echo, input="{run}", interval_seconds=0.25)
    beats.start()
    beats.start()
    for number in (2, 3):
        until(lambda number=number: started(fleet) == number, 30)
        # The older one: so each of the first two is killed, whichever may have been in charge.
        beats.kill(beats.processes[0])
        count = len(moments(fleet))
        until(lambda count=count: len(moments(fleet)) > count + 4, FAILOVER_SECONDS + 10)
        beats.start()
    fired = moments(fleet)
    assert max(after - before for before, after in pairwise(fired)) < FAILOVER_SECONDS
    job = orchestrator.schedule(agent=fleet_agents.echo, input="x", interval_seconds=0.25)
    due = job.next_run.timestamp()
    until(lambda: job.runs, 10)
    seen = next(
        event.at.timestamp()
        for event in orchestrator.events()
        if event.type == FIRED and event.subject == job.id
    )
    assert seen - due < 2
