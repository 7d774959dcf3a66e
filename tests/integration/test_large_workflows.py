"""Workflows of any size: messages as small as ever, submit and run in proportion."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import pytest

from pyagent_orch import Orchestrator, Task, Workflow, WorkflowStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.client import Client
from pyagent_orch.store.runs import Claim
from support.fleet import Fleet

WIDTH, FAN_IN = 100, 3


def layers(size: int) -> Workflow:
    """Layers of `WIDTH` tasks, each of which waits for `FAN_IN` of the layer before."""
    rng = Random(size)
    names = [f"t{place}" for place in range(size)]
    dependencies = {}
    for place in range(WIDTH, size):
        first = (place // WIDTH - 1) * WIDTH
        dependencies[names[place]] = rng.sample(names[first : first + WIDTH], FAN_IN)
    return Workflow(
        f"layers of {size}", [Task("name_dependencies", name=name) for name in names], dependencies
    )


def fan_in(size: int) -> Workflow:
    """Many tasks, and one that waits for all of them."""
    names = [f"t{place}" for place in range(size - 1)]
    tasks = [Task("tell", 1, name=name) for name in (*names, "join")]
    return Workflow(f"fan-in of {size}", tasks, {"join": names})


def chain(size: int) -> Workflow:
    """One task after the other."""
    names = [f"t{place}" for place in range(size)]
    waits = {name: [before] for before, name in pairwise(names)}
    return Workflow(f"chain of {size}", [Task("tell", 1, name=name) for name in names], waits)


@pytest.fixture
def orch(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client without any worker."""
    with Orchestrator(redis_url=server.broker_url, namespace=namespace) as orchestrator:
        yield orchestrator


def work_off(client: Client) -> list[int]:
    """Be the worker: take every message from the queue and finish its task; their lengths."""
    store, queue = client.store, f"{client.store.keys.celery_prefix}agents\x06\x164"
    store.fleet.heartbeat("by-hand", "by-hand", "{}", [])
    lengths: list[int] = []
    while (message := store.client.rpop(queue)) is not None:
        lengths.append(len(message))
        claim = store.runs.claim(json.loads(message)["headers"]["id"], "by-hand", "by-hand")
        assert isinstance(claim, Claim)
        store.runs.finish(claim, "by-hand", '"done"', "")
    return lengths


@pytest.mark.parametrize("shape", [layers, fan_in, chain])
def test_bytes_published_grow_with_the_number_of_tasks(
    orch: Orchestrator, shape: Callable[[int], Workflow]
) -> None:
    published: dict[int, list[int]] = {}
    for size in (60, 600):
        workflow = orch.submit_workflow(shape(size))
        published[size] = work_off(orch._connection.client)
        assert workflow.status is WorkflowStatus.COMPLETED
        # One message a task: nothing was pushed twice.
        assert len(published[size]) == size
    assert sum(published[600]) <= 11 * sum(published[60])
    # No message carries anything of the rest.
    assert max(published[600]) <= max(published[60]) + len("t599") - len("t59")


def test_a_message_does_not_grow_with_the_input_or_with_what_it_waits_for(
    orch: Orchestrator,
) -> None:
    # A short preview of the input, for Flower, is all that is in it.
    sizes = []
    for length in (10, 100_000):
        first = Task("tell", "x" * length, name="a")
        workflow = Workflow("w", [first, Task("tell", "{a.output}", name="b")])
        orch.submit_workflow(workflow)
        sizes.append(work_off(orch._connection.client))
    assert max(sizes[1]) <= max(sizes[0]) + 300


def test_submit_costs_no_more_per_task_for_ten_thousand_than_for_a_hundred(
    orch: Orchestrator,
) -> None:
    orch.submit_workflow(layers(5))

    def seconds(size: int) -> float:
        workflow = layers(size)
        began = time.perf_counter()
        orch.submit_workflow(workflow)
        return (time.perf_counter() - began) / size

    def peak(size: int) -> float:
        workflow = layers(size)
        tracemalloc.start()
        orch.submit_workflow(workflow)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used / size

    # The best of a few: what the machine does beside it is not the question.
    assert seconds(10_000) <= 5 * min(seconds(100) for _ in range(5))
    assert peak(10_000) <= 5 * peak(100)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_workflow_of_ten_thousand_tasks_runs_through(fleet: Fleet) -> None:
    fleet.start("threads", 8, env={"PYAGENT_ORCH_AGENTS": "support.workflow_agents"})
    workflow = fleet.orchestrator.submit_workflow(layers(10_000))
    assert workflow.wait(200).status is WorkflowStatus.COMPLETED
    assert (workflow.progress, len(workflow.outputs)) == (1.0, 10_000)
    assert {task.attempts for task in workflow.tasks} == {1}
    waits = workflow.dependencies
    assert all(task.output == sorted(waits.get(task.name, [])) for task in workflow.tasks)
