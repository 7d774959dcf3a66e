"""Scheduled jobs that are changed, paused and scheduled again, and calls that name none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pyagent_orch import JobNotFoundError, Orchestrator, ScheduledJob, ScheduleError, Task
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.ticker import Ticker
from support import fleet_agents
from support.fleet import until
from support.jobs import set_back


@pytest.fixture
def client(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client without workers: what fires stays on its queue."""
    with Orchestrator(redis_url=server.broker_url, namespace=namespace) as orchestrator:
        yield orchestrator


@pytest.fixture
def ticker(client: Orchestrator) -> Ticker:
    return Ticker(client._connection.store)


def test_pause_resume_change_and_remove(client: Orchestrator, ticker: Ticker) -> None:
    job = client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, name="watch")
    assert client.pause(job.id).next_run is None
    assert not job.enabled
    set_again = client.schedule(
        ScheduledJob(Task(fleet_agents.echo, "y"), interval_seconds=60, id=job.id)
    )
    assert not set_again.enabled, "scheduling it again at a start must not resume it"
    assert client.resume(job.id).next_run is not None
    changed = client.change(job.id, cron="0 9 * * MON", timezone="Asia/Kolkata")
    assert (changed.schedule_type, changed.interval_seconds) == ("cron", None)
    assert (changed.next_run.hour, changed.next_run.utcoffset()) == (9, timedelta(hours=5.5))
    with pytest.raises(ScheduleError, match="is no option"):
        client.change(job.id, colour="red")
    assert client.unschedule(job.id)
    assert not client.unschedule(job.id)
    with pytest.raises(JobNotFoundError):
        client.pause(job.id)
    ticker.tick()
    types = [event.type for event in client.events() if event.noun == "job"]
    assert types == [
        "job.scheduled", "job.paused", "job.changed", "job.resumed", "job.changed", "job.removed",
    ]  # fmt: skip


def test_scheduling_the_same_job_again_keeps_its_next_run_and_its_count(
    client: Orchestrator, ticker: Ticker
) -> None:
    def again() -> ScheduledJob:
        task = Task(fleet_agents.echo, "x")
        return client.schedule(ScheduledJob(task, interval_seconds=60, id="daily"))

    set_back(client, again(), 60)
    ticker.tick()
    before = client.get_job("daily").record
    after = again().record
    assert (after.runs, after.next_ms, after.timing) == (1, before.next_ms, before.timing)
    assert len(client.jobs()) == 1


@pytest.mark.parametrize("jitter", [0, 1], ids=["the same times", "other times"])
def test_what_was_read_before_a_firing_is_not_written_after_it(
    client: Orchestrator, ticker: Ticker, jitter: int
) -> None:
    """Else a program that schedules its jobs at its start could bring a due time back."""
    job = client.schedule(
        ScheduledJob(Task(fleet_agents.echo, "{run}"), interval_seconds=60, id="daily")
    )
    again = ScheduledJob(
        Task(fleet_agents.echo, "x"), interval_seconds=60, jitter=jitter, id="daily"
    )
    schedules = client._connection.store.schedules
    set_back(client, job, 60)
    read, now = schedules.find_now("daily")
    ticker.tick()
    assert not client._write(again, again.timing(now), read.work, read, now)
    read, now = schedules.find_now("daily")
    assert client._write(again, again.timing(now), read.work, read, now)
    ticker.tick()
    assert job.runs == 1
    assert job.next_run > datetime.now(UTC)


def test_a_job_that_is_scheduled_again_while_it_fires_loses_and_doubles_nothing(
    client: Orchestrator,
) -> None:
    def again() -> ScheduledJob:
        task = Task(fleet_agents.echo, "{run}")
        return client.schedule(
            ScheduledJob(
                task, interval_seconds=0.02, missed="catch_up", catch_up_limit=10_000, id="often"
            )
        )

    stores = [client._connection.client.app.pyagent_orch.new_store() for _ in range(2)]
    enough = threading.Event()

    def tick(ticker: Ticker) -> None:
        while not enough.is_set():
            ticker.tick()

    job = again()
    threads = [threading.Thread(target=tick, args=[Ticker(store)]) for store in stores]
    for thread in threads:
        thread.start()
    for _ in range(100):
        again()
    until(lambda: job.runs >= 20, 20)
    enough.set()
    for thread, store in zip(threads, stores, strict=True):
        thread.join()
        store.close()
    ticks = [int(event.data["tick"]) for event in client.events() if event.type == "job.fired"]
    assert {after - before for before, after in pairwise(ticks)} == {20}
    assert sum(client.counts().values()) == len(ticks) == job.runs


def test_a_job_that_ends_while_it_is_scheduled_again_has_ended(
    client: Orchestrator, ticker: Ticker
) -> None:
    job = ScheduledJob(Task(fleet_agents.echo, "x"), interval_seconds=60, max_runs=1, id="once")
    client.schedule(job)
    set_back(client, job, 60)
    read, now = client._connection.store.schedules.find_now("once")
    ticker.tick()
    again = ScheduledJob(Task(fleet_agents.echo, "x"), interval_seconds=30, id="once")
    assert not client._write(again, again.timing(now), read.work, read, now)
    assert (job.enabled, job.runs) == (False, 1)


def test_a_job_that_is_changed_to_fewer_runs_than_it_has_had_ends(
    client: Orchestrator, ticker: Ticker
) -> None:
    job = client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60)
    for _ in range(3):
        set_back(client, job, 60)
        ticker.tick()
    client.change(job.id, max_runs=2)
    set_back(client, job, 60)
    ticker.tick()
    assert (job.runs, job.enabled, job.next_run) == (3, False, None)
    assert [event.subject for event in client.events() if event.type == "job.ended"] == [job.id]
    client.run_now(job.id)
    store = client._connection.store
    assert store.client.pttl(store.keys.job(job.id) + ":runs") > 0


def test_a_paused_job_starts_nothing_of_what_waits_whatever_its_overlap(
    client: Orchestrator, ticker: Ticker
) -> None:
    job = client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, overlap="queue")
    for _ in range(2):
        set_back(client, job, 60)
        ticker.tick()
    client.change(job.id, overlap="allow")
    client.pause(job.id)
    client.cancel(job.last_run_id)
    ticker.tick()
    assert job.runs == 1
    client.resume(job.id)
    ticker.tick()
    assert job.runs == 2


def test_a_job_that_cannot_be_read_hides_no_other_and_can_be_removed(
    client: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()
    got: list[object] = []

    @client.on("job.changed")
    def note(job: object) -> None:
        got.append(job)
        told.set()

    good, bad = (
        client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60, id=name)
        for name in ("good", "bad")
    )
    store = client._connection.store
    # As a machine that knows more time zones has written it.
    fields = {"timing": '{"kind": "interval", "at": 0, "every": 60000, "zone": "Mars/Olympus"}'}
    assert store.schedules.write("bad", bad.record.revision, fields, None, "job.changed")
    assert [job.id for job in client.jobs()] == [good.id]
    assert "job 'bad' cannot be read" in caplog.text
    assert told.wait(10)
    assert (got[0].type, got[0].subject) == ("job.changed", "bad")
    with pytest.raises(ScheduleError, match=r"Mars/Olympus.*unschedule\(\) removes it"):
        client.get_job("bad")
    assert client.unschedule("bad")


def test_a_live_job_that_somebody_removed_is_not_due_any_more(client: Orchestrator) -> None:
    job = client.schedule(agent=fleet_agents.echo, input="x", interval_seconds=60)
    assert job.enabled
    client.unschedule(job.id)
    assert (job.enabled, job.next_run) == (False, None)


def test_a_job_that_has_ended_stays_so_and_expires_however_often_it_is_scheduled_again(
    client: Orchestrator, ticker: Ticker
) -> None:
    def again(seconds: float = 60) -> ScheduledJob:
        task = Task(fleet_agents.echo, "x")
        return client.schedule(
            ScheduledJob(task, interval_seconds=seconds, max_runs=1, id="single")
        )

    set_back(client, again(), 60)
    ticker.tick()
    store = client._connection.store
    keys = [store.keys.job("single"), store.keys.job("single") + ":runs"]
    job = again()
    assert str(job).endswith(", ended")
    assert (job.runs, job.next_run, job.enabled) == (1, None, False)
    assert all(store.client.pttl(key) > 0 for key in keys)
    with pytest.raises(ScheduleError, match="has ended"):
        client.resume("single")
    # With other times it is another one.
    assert again(30).next_run is not None
    assert [store.client.pttl(key) for key in keys] == [-1, -1]


def test_what_is_no_id_count_or_limit_is_refused_with_what_to_give(client: Orchestrator) -> None:
    job = client.schedule(agent=fleet_agents.echo, input="x", cron="@daily")
    for call in (client.pause, client.resume, client.unschedule, client.run_now, client.get_job):
        with pytest.raises(ScheduleError, match="type ScheduledJob; give a job's id"):
            call(job)  # type: ignore[operator]
    with pytest.raises(JobNotFoundError):
        client.job_runs("none")
    for limit in (0, -1, 101, True, 1.5):
        with pytest.raises(ScheduleError, match=r"limit: .* from 1 to 100"):
            client.job_runs(job.id, limit=limit)  # type: ignore[arg-type]
        with pytest.raises(ScheduleError, match=r"count: .* from 1 to 10,000"):
            job.preview(100 * limit if limit == 101 else limit)  # type: ignore[arg-type]
    with pytest.raises(ScheduleError, match="cron: is of type int"):
        client.schedule(agent=fleet_agents.echo, input="x", cron=5)
    with pytest.raises(ScheduleError, match="name: 5 is no text"):
        ScheduledJob(Task(fleet_agents.echo, "x"), cron="@daily", name=5)  # type: ignore[arg-type]
