"""A pattern is the work of a scheduled job, embedded and on a fleet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pyagent_orch import (
    ChainOfThought,
    Debate,
    Orchestrator,
    ScheduledJob,
    Task,
    Workflow,
    agent,
)
from support.fleet import Fleet, until
from support.reading import read


def debate() -> Debate:
    return Debate(
        pro_agent=agent("For", name="pro"),
        con_agent=agent("Against", name="con"),
        judge=agent("Judge", name="judge"),
        rounds=1,
    )


def runs_of(orch: Orchestrator, name: str) -> list[Workflow]:
    return [one for one in orch.workflows(name=name) if one.status.is_final]


def check_debates(orch: Orchestrator, name: str, count: int) -> None:
    runs = runs_of(orch, name)
    assert len({run.id for run in runs}) >= count
    for run in runs:
        assert run.status == "completed", run.error
        result = debate().read(run.output)
        assert len(result.transcript) == 2
        assert result.workflow_id == run.id
        # Each turn is a task of its own, with its text.
        assert {speech.text for speech in result.transcript} <= set(
            read(run.stream(timeout=10)).texts.values()
        )


def test_an_embedded_job_runs_a_pattern_each_time(embedded: Callable[..., Orchestrator]) -> None:
    orch = embedded()
    work = Workflow("debates", [Task(debate(), "Tea or coffee?", name="debate")])
    orch.schedule(
        ScheduledJob(workflow=work, schedule_type="interval", interval_seconds=1, max_runs=2)
    )
    until(lambda: len(runs_of(orch, "debates")) >= 2, 20)
    check_debates(orch, "debates", 2)


def test_a_pattern_alone_is_the_task_of_a_job(embedded: Callable[..., Orchestrator]) -> None:
    orch = embedded()
    pattern = ChainOfThought(reasoner=agent("Think", name="thinker"), steps=["Look", "Answer"])
    job = orch.schedule(
        ScheduledJob(
            task=Task(pattern, "Why?", name="why"),
            schedule_type="once",
            run_at=datetime.now(UTC) + timedelta(seconds=1),
        )
    )
    until(lambda: job.last_run is not None, 20)
    until(lambda: orch.workflows(limit=1) and orch.workflows(limit=1)[0].status.is_final, 20)
    run = orch.workflows(limit=1)[0]
    assert run.status == "completed", run.error
    assert len(pattern.read(run.output).reasoning_chain) == 2


def test_a_fleet_runs_a_pattern_when_its_job_is_due(fleet: Fleet) -> None:
    fleet.start("threads", 2)
    orch = fleet.orchestrator
    work = Workflow("debates", [Task(debate(), "Tea or coffee?", name="debate")])
    job = orch.schedule(
        ScheduledJob(workflow=work, schedule_type="cron", cron="0 0 1 1 *", timezone="UTC")
    )
    orch.run_now(job.id)
    until(lambda: len(runs_of(orch, "debates")) >= 1, 20)
    check_debates(orch, "debates", 1)
