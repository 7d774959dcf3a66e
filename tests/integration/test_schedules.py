"""Scheduled jobs on a real server: fired by beat's ticker or by the embedded worker."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import (
    Orchestrator,
    ScheduledJob,
    ScheduleError,
    Task,
    agent,
)
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.ticker import Ticker
from pyagent_orch.inputs import providers
from pyagent_orch.models.events import Event
from pyagent_orch.patterns import Consensus
from support import fleet_agents
from support.fleet import until
from support.jobs import set_back

SNIPPETS = Path(__file__).parents[1] / "spec"


@pytest.fixture
def client(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client without workers: what fires stays on its queue."""
    with Orchestrator(redis_url=server.broker_url, namespace=namespace) as orchestrator:
        yield orchestrator


@pytest.fixture(autouse=True)
def _own_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test provides is there for no other."""
    monkeypatch.setattr(providers, "_providers", {})


@pytest.fixture
def ticker(client: Orchestrator) -> Ticker:
    return Ticker(client._connection.store)


def events(orchestrator: Orchestrator, *types: str) -> list[Event]:
    return [event for event in orchestrator.events() if event.type in types]


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def run_snippet(name: str, **names: Any) -> dict[str, Any]:
    file = SNIPPETS / f"{name}.py"
    exec(compile(file.read_text(), file, "exec"), names)
    return names


def test_the_specs_scheduled_jobs(embedded: Callable[..., Orchestrator]) -> None:
    orch = embedded()
    tasks = {
        name: Task(agent(f"Do the {name}"), "Do it")
        for name in ("daily_report_task", "health_check_task", "weekly_summary_task")
    }
    job = run_snippet(
        "scheduled_jobs", ScheduledJob=ScheduledJob, datetime=datetime, orch=orch, **tasks
    )["job"]
    assert [one.id for one in orch.jobs()] == [job.id]
    assert (job.next_run.weekday(), job.next_run.hour, job.next_run.minute) == (0, 9, 0)
    assert job.next_run > datetime.now(UTC)


def test_the_specs_scheduled_monitoring() -> None:
    names = run_snippet("scheduled_monitoring", Orchestrator=Orchestrator, agent=agent)
    with names["orch"] as orch:
        health, summary = names["health_job"], names["summary_job"]
        assert orch.jobs()[0].id in {health.id, summary.id}
        assert (
            timedelta(seconds=290) < health.next_run - datetime.now(UTC) <= timedelta(seconds=300)
        )
        assert (summary.next_run.hour, summary.next_run.minute) == (9, 0)
        # Nobody provides metrics.
        assert "{metrics}" in orch.run_now(health.id).result(timeout=20)


def test_jitter_delays_each_run_by_up_to_so_much(client: Orchestrator, ticker: Ticker) -> None:
    job = client.schedule(
        agent=fleet_agents.echo, input="x", interval_seconds=60, jitter=1000, missed="catch_up"
    )
    set_back(client, job, 20 * 60)
    while job.next_run < datetime.now(UTC):
        ticker.tick()
    store = client._connection.store
    starts = dict(store.client.zrange(store.keys.delayed, 0, -1, withscores=True))
    fired = [event for event in client.events() if event.type == "job.fired"]
    assert len(fired) == len(starts) >= 20
    delays = [starts[event.data["run"]] / 1000 - event.at.timestamp() for event in fired]
    assert all(-1 < delay <= 1001 for delay in delays)
    assert len({round(delay) for delay in delays}) > 10


def test_a_pattern_is_work_too(embedded: Callable[..., Orchestrator]) -> None:
    orch = embedded()
    pattern = Consensus(agents=[lambda q: "APPROVE", lambda q: "APPROVE"])
    job = orch.schedule(agent=pattern, input="Ship it?", cron="@daily")
    output = orch.run_now(job.id).result(20)
    assert output["decision"] == "approved"


def test_tickers_at_the_same_time_fire_each_due_time_once(client: Orchestrator) -> None:
    jobs = [
        client.schedule(
            agent=fleet_agents.echo, input="{run}", interval_seconds=0.05, missed="catch_up",
            catch_up_limit=10_000, name=f"job {n}",
        )
        for n in range(10)
    ]  # fmt: skip
    stores = [client._connection.client.app.pyagent_orch.new_store() for _ in range(3)]
    enough = threading.Event()

    def tick(ticker: Ticker) -> None:
        while not enough.is_set():
            ticker.tick()

    threads = [threading.Thread(target=tick, args=[Ticker(store)]) for store in stores]
    for thread in threads:
        thread.start()
    until(lambda: min(job.runs for job in jobs) >= 20, 20)
    enough.set()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    fired = Counter((e.subject, int(e.data["tick"])) for e in events(client, "job.fired"))
    assert set(fired.values()) == {1}
    for job in jobs:
        ticks = sorted(tick for job_id, tick in fired if job_id == job.id)
        assert [b - a for a, b in pairwise(ticks)] == [50] * (len(ticks) - 1)
    assert sum(client.counts().values()) == len(fired)


@pytest.mark.parametrize(
    ("missed", "fired", "left_out"), [("coalesce", 1, 5), ("skip", 0, 6), ("catch_up", 6, 0)]
)
def test_due_times_that_nobody_saw(
    client: Orchestrator, ticker: Ticker, missed: str, fired: int, left_out: int
) -> None:
    job = client.schedule(
        agent=fleet_agents.echo, input="x", interval_seconds=60, missed=missed, id="late"
    )
    set_back(client, job, 6 * 60 + 20)
    ticker.tick()
    runs = events(client, "job.fired")
    assert len(runs) == job.runs == fired
    assert {event.data["late"] for event in runs} <= {"1"}
    told = events(client, "job.missed")
    assert [int(event.data["missed"]) for event in told] == ([left_out] if left_out else [])
    assert datetime.now(UTC) < job.next_run < in_seconds(60)


@pytest.mark.parametrize(
    ("overlap", "outcome"),
    [("skip", "job.skipped"), ("queue", "job.queued"), ("allow", "job.fired")],
)
def test_a_run_that_is_due_while_the_last_one_is_not_finished(
    client: Orchestrator, ticker: Ticker, overlap: str, outcome: str
) -> None:
    job = client.schedule(
        agent=fleet_agents.echo, input="{run}", interval_seconds=60, overlap=overlap, max_runs=2
    )
    set_back(client, job, 60)
    ticker.tick()
    first = job.last_run_id
    set_back(client, job, 60)
    ticker.tick()
    assert [event.type for event in events(client, "job.skipped", "job.queued", "job.fired")] == [
        "job.fired",
        outcome,
    ]
    client.cancel(first)
    ticker.tick()
    assert job.runs == {"skip": 1, "queue": 2, "allow": 2}[overlap]
    assert job.enabled == (overlap == "skip")
    ends = events(client, "job.failed")
    assert [(e.subject, e.data["run"], e.data["status"]) for e in ends] == [
        (job.id, first, "cancelled")
    ]


def test_a_job_that_cannot_be_fired_is_paused_and_stops_no_other(
    client: Orchestrator, ticker: Ticker
) -> None:
    bad, worse, good = (
        client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, name=name)
        for name in ("bad", "worse", "good")
    )
    store = client._connection.store
    for job in (bad, worse, good):
        set_back(client, job, 60)
    store.client.hset(store.keys.job(bad.id), "work", "{}")
    store.client.hset(store.keys.job(worse.id), "timing", "nonsense")
    ticker.tick()
    assert [event.data["name"] for event in events(client, "job.fired")] == ["good"]
    assert {event.subject for event in events(client, "job.paused")} == {bad.id, worse.id}
    assert "KeyError" in client.get_job(bad.id).problem
    ticker.tick()


def test_a_time_without_a_zone_is_taken_as_the_jobs_and_told_once(
    client: Orchestrator, server: PrivateServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    wall = datetime(2099, 1, 1, 9, 0)  # noqa: DTZ001 - what this is about
    with (
        Orchestrator(redis_url=server.broker_url, namespace=namespace) as earlier,
        caplog.at_level(logging.WARNING),
    ):
        # What another one was told, this one is told, too.
        earlier.schedule(agent=fleet_agents.echo, input="x", run_at=wall)
        caplog.clear()
        for _ in range(2):
            job = client.schedule(
                agent=fleet_agents.echo, input="x", run_at=wall, timezone="America/New_York"
            )
    assert job.next_run == datetime(2099, 1, 1, 14, tzinfo=UTC)
    assert len([r for r in caplog.records if "without a time zone" in r.getMessage()]) == 1
    past = datetime(2024, 12, 25, 9, 0, tzinfo=UTC)
    with pytest.raises(ScheduleError, match="in the past"):
        client.schedule(agent=fleet_agents.echo, input="x", run_at=past)


def test_a_handler_of_job_events_gets_the_job(client: Orchestrator, ticker: Ticker) -> None:
    got: list[ScheduledJob] = []
    seen = threading.Event()

    @client.on("job.fired")
    def note(job: ScheduledJob) -> None:
        got.append(job)
        seen.set()

    job = client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60)
    set_back(client, job, 60)
    ticker.tick()
    assert seen.wait(10)
    assert (got[0].id, got[0].runs) == (job.id, 1)


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    exec(compile(code, "docs/schedules.md", "exec"), {"__name__": "page"})
    assert 'CHECK {"CPU": 0.3}, RUN MANUAL' in capsys.readouterr().out


def test_with_a_state_file_jobs_outlive_the_process_that_made_them(
    embedded: Callable[..., Orchestrator], tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    first = embedded(state_file=file)
    job = first.schedule(
        agent=agent("Summarize"), input="Yesterday", cron="0 9 * * *", timezone="Europe/Berlin"
    )
    first.run_now(job.id).wait(20)
    first.close()
    second = embedded(state_file=file)
    found = second.get_job(job.id)
    assert (found.next_run, found.cron, found.name) == (job.next_run, "0 9 * * *", job.name)
    assert [run.status.value for run in second.job_runs(job.id)] == ["completed"]
    assert second.run_now(job.id).result(20)
