"""What the input of a scheduled run is filled in with, when it starts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pyagent_orch import (
    Orchestrator,
    RetryPolicy,
    ScheduledJob,
    Task,
    TaskTimeoutError,
    Workflow,
    context_provider,
)
from pyagent_orch.inputs import providers
from support.fleet import until


@pytest.fixture(autouse=True)
def _own_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test provides is there for no other."""
    monkeypatch.setattr(providers, "_providers", {})


def test_an_embedded_worker_fires_and_fills_in_what_is_provided(
    embedded: Callable[..., Orchestrator],
) -> None:
    cpu = [0]

    @context_provider("cpu_load")
    def cpu_load() -> dict[str, int]:
        cpu[0] += 1
        return {"cpu": cpu[0]}

    seen: list[str] = []
    ended = threading.Event()
    orch = embedded()
    orch.on("job.ended", lambda job: ended.set())
    job = orch.schedule(
        agent=seen.append,
        input="{run}: {cpu_load} {scheduled_at} {nothing}",
        interval_seconds=0.3,
        max_runs=2,
        missed="catch_up",
        timezone="Europe/Berlin",
    )
    first = job.next_run
    assert ended.wait(10)
    until(lambda: len(seen) == 2)
    second = first + timedelta(seconds=0.3)
    assert seen == [
        f'1: {{"cpu": 1}} {first.isoformat()} {{nothing}}',
        f'2: {{"cpu": 2}} {second.isoformat()} {{nothing}}',
    ]
    assert (job.runs, job.enabled, job.next_run, job.last_run) == (2, False, None, second)


def test_a_provider_may_be_a_coroutine_function_and_one_that_fails_fails_the_attempt(
    embedded: Callable[..., Orchestrator],
) -> None:
    loops: list[object] = []
    asked: list[str] = []
    hang = threading.Event()

    @context_provider("awaited")
    async def awaited() -> list[int]:
        loops.append(asyncio.get_running_loop())
        return [1, 2]

    @context_provider("broken")
    def broken() -> str:
        asked.append("broken")
        if len(asked) == 1:
            raise OSError("no metrics today")
        return "better"

    context_provider("slow")(hang.wait)

    orch = embedded()
    options: dict[str, Any] = {"agent": lambda given: given, "cron": "@yearly"}
    job = orch.schedule(input="{awaited}", **options)
    # What is nothing but a name becomes the value; all share the loop of the agents.
    assert [orch.run_now(job.id).result(20) for _ in range(2)] == [[1, 2], [1, 2]]
    assert len(set(loops)) == 1
    job = orch.schedule(
        input="It is {broken}", retry=RetryPolicy(max_attempts=2, delay_seconds=0), **options
    )
    run = orch.run_now(job.id)
    assert (run.result(20), run.attempts) == ("It is better", 2)
    job = orch.schedule(input="{slow}", timeout=0.2, **options)
    with pytest.raises(TaskTimeoutError, match=r"context_provider\(slow\).*did not return within"):
        orch.run_now(job.id).result(20)
    hang.set()


def test_the_output_of_a_task_is_not_taken_for_a_gap(embedded: Callable[..., Orchestrator]) -> None:
    @context_provider("secret_value")
    def secret_value() -> str:
        return "secret"

    first = Task(lambda _: "{secret_value}", "", name="first")
    second = Task(lambda text: text, lambda: f"{{secret_value}} {first.output}", name="second")
    flow = Workflow("flow", [first, second], dependencies={"second": ["first"]})
    orch = embedded()
    job = orch.schedule(ScheduledJob(workflow=flow, cron="@yearly"))
    assert orch.run_now(job.id).result(10) == "secret {secret_value}"
    again = orch.run_now(job.id)
    assert again.result(10) == "secret {secret_value}"
    assert len({run.id for run in orch.job_runs(job.id)}) == 2
