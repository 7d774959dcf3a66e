"""Scheduled jobs that are changed, paused and scheduled again, and calls that name none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pyagent_orch import JobNotFoundError, Orchestrator, ScheduledJob, ScheduleError, Task
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.ticker import Ticker
from support import fleet_agents
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
