"""Scheduled jobs in a state file: restored into an empty Redis; no due time fires twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, ScheduledJob, Task, Workflow
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents
from support.fleet import Fleet, until
from support.state_files import edit, entries, ids, latest, lose_redis

Make = Callable[..., Orchestrator]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "state.json"


def test_scheduled_jobs_go_on_on_a_new_and_empty_redis(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    daily = orch.schedule(
        agent=fleet_agents.echo, input="{run}", cron="0 8 * * *", timezone="Europe/Berlin",
        name="daily", id="daily",
    )  # fmt: skip
    often = orch.schedule(agent=fleet_agents.echo, input="tick", interval_seconds=1, id="often")
    paused = orch.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, id="paused")
    gone = orch.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, id="gone")
    assert {"daily", "often", "paused", "gone"} == ids(path, "job")
    orch.pause(paused.id)
    assert latest(path, "paused", "job.state")["record"]["enabled"] == "0"
    orch.unschedule(gone.id)
    assert ids(path, "job.gone") == {"gone"}
    until(lambda: often.runs >= 2)
    until(lambda: int(latest(path, "often", "job.state")["record"]["runs"]) >= 2)
    # What a job is made of is in the file once, however often it runs.
    assert [one["id"] for one in entries(path) if one["kind"] == "job"].count("often") == 1
    run = often.last_run
    orch.close()
    before = int(latest(path, "often", "job.state")["record"]["runs"])
    lose_redis(path)
    orch = embedded(state_file=path)
    jobs = {job.id: job for job in orch.jobs()}
    assert jobs.keys() == {"daily", "often", "paused"}
    assert jobs["daily"].next_run == daily.next_run
    assert (jobs["daily"].name, jobs["daily"].timezone) == ("daily", "Europe/Berlin")
    assert (jobs["paused"].enabled, jobs["paused"].next_run) == (False, None)
    until(lambda: jobs["often"].runs > before)
    assert jobs["often"].last_run != run
    restored = {event.subject for event in orch.events() if event.type == "job.restored"}
    assert restored == {"daily", "often", "paused"}


def test_a_job_that_others_removed_meanwhile_does_not_come_back(
    server: PrivateServer, namespace: str, path: Path, fleet: Fleet
) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path) as orch:
        orch.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, id="mine")
        orch.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, id="kept")
        fleet.orchestrator.schedule(agent=fleet_agents.echo, interval_seconds=60, id="theirs")
        assert ids(path, "job") == {"mine", "kept"}
    fleet.orchestrator.unschedule("mine")
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path) as orch:
        assert {job.id for job in orch.jobs()} == {"kept", "theirs"}


def test_a_job_that_was_changed_paused_or_removed_is_restored_as_it_was_last(
    embedded: Make, path: Path
) -> None:
    orch = embedded(state_file=path)
    for name in ("resumed", "again", "flow"):
        orch.schedule(agent=fleet_agents.echo, input="old", interval_seconds=3600, id=name)
    orch.pause("resumed")
    resumed = orch.resume("resumed")
    for name in ("again", "flow"):
        orch.unschedule(name)
    orch.schedule(agent=fleet_agents.echo, input="new", interval_seconds=60, id="again")
    parts = [Task(fleet_agents.echo, 1, name="a"), Task(fleet_agents.echo, "{a.output}", name="b")]
    orch.schedule(
        ScheduledJob(workflow=Workflow("w", parts, {"b": ["a"]}), interval_seconds=3600, id="flow")
    )
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    jobs = {job.id: job for job in orch.jobs()}
    assert jobs.keys() == {"resumed", "again", "flow"}
    assert jobs["resumed"].enabled
    assert jobs["resumed"].next_run == resumed.next_run
    assert jobs["again"].interval_seconds == 60
    assert orch.run_now("again").result(timeout=20) == "new"
    assert orch.run_now("flow").result(timeout=20) == 1


def test_a_due_time_that_has_fired_does_not_fire_again_when_the_file_knows_only_its_run(
    embedded: Make, path: Path, tmp_path: Path
) -> None:
    """As after a kill between the entry of the run and that of the job, and a loss of Redis."""
    log = tmp_path / "runs"
    orch = embedded(state_file=path)
    job = orch.schedule(
        agent=fleet_agents.append_line, input={"path": str(log)}, interval_seconds=1, id="often",
        missed="catch_up",
    )  # fmt: skip
    before = latest(path, "often", "job")
    first = job.next_run
    until(lambda: job.runs >= 2)
    until(lambda: len(entries_of_runs(path)) >= 2)
    orch.close()
    lose_redis(path)
    # The job as it was before its first run.
    edit(path, lambda all_: [one for one in all_ if one["kind"] != "job.state"])
    stateless = {**before, "kind": "job.state", "record": {"enabled": "1", "rev": "1", "runs": "0"}}
    stateless["record"]["due"] = int(first.timestamp() * 1000 + 0.5)
    edit(path, lambda all_: [*all_, stateless])
    orch = embedded(state_file=path)
    until(lambda: orch.jobs()[0].runs >= 4)
    orch.unschedule("often")
    until(lambda: not orch.tasks(status="pending") and not orch.tasks(status="running"))
    runs = log.read_text().split()
    assert len(runs) == len(set(runs)), "a due time ran twice"
    fired = [int(event.data["tick"]) for event in orch.events() if event.type == "job.fired"]
    assert fired[0] == stateless["record"]["due"]
    assert len(runs) == len(set(fired))


def entries_of_runs(path: Path) -> set[str]:
    return {name for name in ids(path) if name.startswith("often")}


@pytest.mark.parametrize(("missed", "ran_late"), [("skip", 0), ("coalesce", 1), ("catch_up", 10)])
def test_due_times_missed_before_the_restore_follow_the_jobs_own_rule(
    embedded: Make, path: Path, missed: str, ran_late: int
) -> None:
    orch = embedded(state_file=path)
    orch.schedule(
        agent=fleet_agents.echo, input="{run}", interval_seconds=60, id="job", missed=missed
    )
    orch.pause("job")
    orch.resume("job")
    orch.close()
    lose_redis(path)
    now = time.time_ns() // 1_000_000

    def long_ago(all_: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for one in all_:
            if one["kind"] == "job.state":
                one["record"]["due"] = now - 9 * 60_000 - 30_000
        return all_

    edit(path, long_ago)
    orch = embedded(state_file=path)
    [job] = orch.jobs()
    until(lambda: job.next_run.timestamp() * 1000 > now)
    fired = [event for event in orch.events() if event.type == "job.fired"]
    assert len(fired) == ran_late == job.runs
    assert len(orch.tasks(limit=100)) == ran_late
