"""Workflows as plain Celery canvases, also inside those of somebody else's app; tasks as agents.

Two real workers on one Redis: ours, and that of a plain Celery app.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group

from pyagent_orch import (
    AgentNotPortableError,
    InvalidWorkflowError,
    Orchestrator,
    RetryPolicy,
    Task,
    Workflow,
)
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import AGENTS, ROOT, TESTS, Fleet, until
from support.plain_app import app as plain
from support.plain_app import begin, end, note
from support.workflow_agents import count, join_words, stamp

AT_ONCE = RetryPolicy(max_attempts=2, delay_seconds=0.05)


@pytest.fixture(scope="module")
def orch(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    """A client of a fleet of one, beside which a plain Celery worker runs."""
    folder, namespace = tmp_path_factory.mktemp("canvas"), "canvas"
    fleet = Fleet(server.broker_url, namespace, folder)
    prefix = f"{namespace}:"
    environment = {
        **os.environ, "PLAIN_URL": server.broker_url, "PLAIN_PREFIX": prefix,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
    }  # fmt: skip
    command = [sys.executable, "-m", "celery", "-A", "support.plain_app", "worker", "-Q", "plain",
               "-P", "threads", "-c", "4", "-n", "plain@%h", "--without-mingle"]  # fmt: skip
    with (folder / "plain.log").open("wb") as log:
        worker = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    point(plain, server.broker_url, prefix)
    try:
        fleet.start("threads", 4, env={"PYAGENT_ORCH_AGENTS": f"{AGENTS},support.workflow_agents"})
        yield fleet.orchestrator
    finally:
        worker.terminate()
        # Results close their subscriptions when they are collected; that takes a server.
        gc.collect()
        fleet.close()
        plain.close()
        worker.wait(10)


def point(app: Celery, url: str, prefix: str) -> None:
    """Have the plain app of this process, which sends, use the server of the tests."""
    app.conf.update(
        broker_url=url,
        result_backend=url,
        broker_transport_options={"global_keyprefix": prefix},
        result_backend_transport_options={"global_keyprefix": prefix},
    )


def there(signature: Signature) -> Signature:
    """A task of the plain app: whoever starts it has to know its queue."""
    return signature.set(queue="plain")


def diamond(name: str = "diamond", given: str | None = None) -> Workflow:
    """A workflow whose first task takes what a canvas hands on, when it has no input."""
    return Workflow(
        name,
        [
            Task("tell", given, name="a"),
            Task("shout", "{a.output}", name="b"),
            Task("tell", "{a.output}?", name="c"),
            Task("tell", "{b.output} {c.output}", name="d"),
        ],
    )


def states(workflow: Workflow) -> list[str]:
    return [task.status.value for task in workflow.tasks]


# --- a workflow as a canvas -----------------------------------------------------------------


def test_a_canvas_runs_alone_with_records_events_and_a_result(orch: Orchestrator) -> None:
    workflow = diamond(given="hello")
    canvas = orch.to_canvas(workflow)
    assert states(workflow) == ["pending"] * 4
    result = canvas.apply_async()
    assert result.get(timeout=10) == "HELLO hello?"
    assert workflow.wait(5).outputs == {
        "a": "hello", "b": "HELLO", "c": "hello?", "d": "HELLO hello?",
    }  # fmt: skip
    told = [event.type for event in orch.events() if event.subject == workflow.id]
    assert told == ["workflow.submitted", "workflow.started", "workflow.completed"]
    assert result.id == workflow.tasks[3].id
    assert all(task.attempts == 1 for task in workflow.tasks)


def test_a_canvas_stands_in_a_chain_between_plain_tasks(orch: Orchestrator) -> None:
    workflow = diamond()
    canvas = chain(there(begin.s("work")), orch.to_canvas(workflow), there(end.s()))
    assert canvas.apply_async().get(timeout=10) == {"ended with": "WORK BEGUN work begun?"}
    assert workflow.wait(5).outputs["a"] == "work begun"


def test_canvases_stand_in_a_group_and_in_the_header_of_a_chord(orch: Orchestrator) -> None:
    workflows = [diamond(f"w{i}", given=f"t{i}") for i in range(3)]
    # Celery waits for the results of one app: here the plain one sends all.
    one, two, three = (orch.to_canvas(workflow, app=plain) for workflow in workflows)
    together = group(one, there(begin.s("plain"))).apply_async()
    assert together.get(timeout=10) == ["T0 t0?", "plain begun"]
    joined = chord([two, there(begin.s("x")), three], there(end.s()))
    assert joined.apply_async().get(timeout=15) == {
        "ended with": ["T1 t1?", "x begun", "T2 t2?"],
    }  # fmt: skip
    assert [workflow.wait(5).status for workflow in workflows] == ["completed"] * 3


def test_a_canvas_is_the_body_of_a_chord(orch: Orchestrator) -> None:
    workflow = Workflow("body", [Task("tell", name="a"), Task("tell", "{a.output[1]}", name="b")])
    canvas = chord([there(begin.s("x")), there(begin.s("y"))], orch.to_canvas(workflow))
    assert canvas.apply_async().get(timeout=10) == "y begun"
    assert workflow.wait(5).outputs == {"a": ["x begun", "y begun"], "b": "y begun"}


def test_a_canvas_goes_on_after_a_retry_and_after_a_delay(orch: Orchestrator) -> None:
    workflow = Workflow(
        "flaky",
        [
            Task("fail_once", "done", name="a", retry=AT_ONCE),
            Task("tell", "{a.output}, b", name="b", delay=0.2),
            Task("shout", "{a.output}", name="c"),
            Task("tell", join_words, name="d"),
        ],
        {"d": ["b", "c"]},
    )  # fmt: skip
    canvas = chain(orch.to_canvas(workflow), there(end.s()))
    told = canvas.apply_async().get(timeout=20)
    assert told == {"ended with": "done in attempt 2, b DONE IN ATTEMPT 2"}
    assert workflow.wait(5).tasks[0].attempts == 2


def test_a_failure_stops_the_canvas_and_skips_the_rest_of_the_workflow(
    orch: Orchestrator,
) -> None:
    workflow = Workflow(
        "bad", [Task("fail_always", name="a"), Task("tell", "{a.output}", name="b")]
    )
    canvas = chain(orch.to_canvas(workflow), there(end.s())).on_error(there(note.s()))
    canvas.apply_async()
    workflow.wait(10)
    assert states(workflow) == ["failed", "skipped"]
    assert workflow.error == "a failed: ValueError: no luck"
    noted = "canvas:noted"
    assert until(lambda: orch._store.client.lrange(noted, 0, -1)) == [workflow.tasks[0].id]


def test_what_a_canvas_leaves_after_a_failure_is_run_by_us(orch: Orchestrator) -> None:
    # In a canvas the failure of `a` would hold up `b`, which only comes after it.
    workflow = Workflow(
        "after", [Task("fail_always", name="a"), Task("tell", 1, name="b")], pattern="sequential"
    )
    orch.to_canvas(workflow).apply_async()
    assert workflow.wait(10).outputs == {"b": 1}
    assert states(workflow) == ["failed", "completed"]


def test_a_cancel_ends_a_canvas(orch: Orchestrator) -> None:
    workflow = diamond(given="hello")
    canvas = orch.to_canvas(workflow)
    assert workflow.cancel()
    canvas.apply_async()
    assert workflow.wait(5).status == "cancelled"
    assert states(workflow) == ["cancelled"] * 4


def test_a_failed_canvas_is_retried_as_a_workflow(orch: Orchestrator, tmp_path: Path) -> None:
    workflow = Workflow(
        "retried", [Task("fail_until", {"attempt": 2}, name="a"), Task("tell", "b", name="b")],
        {"b": ["a"]},
    )  # fmt: skip
    orch.to_canvas(workflow).apply_async()
    assert workflow.wait(10).status == "failed"
    assert workflow.retry_failed().result(10) == "b"


HOLDS_A_RESULT = """
from pyagent_orch import Orchestrator, Task, Workflow
orch = Orchestrator()
tasks = [Task(lambda _, context: len(context), name=name) for name in "abcd"]
workflow = Workflow("w", tasks, {"b": ["a"], "c": ["a"], "d": ["b", "c"]})
result = orch.to_canvas(workflow).apply_async()
print(workflow.result(timeout=20))
orch.close()
"""


def test_a_result_that_outlives_its_embedded_server_is_silent() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    done = subprocess.run(
        [sys.executable, "-c", HOLDS_A_RESULT], env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("2\n", "")


# --- what a canvas cannot say ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "dependencies", "text"),
    [
        (
            [Task("tell", name=name) for name in "abcd"],
            {"c": ["a", "b"], "d": ["b"]},
            "say without false barriers how these tasks wait for each other: 'a', 'b', 'c', 'd';",
        ),
        (
            [Task("tell", name=name) for name in ("start", "a", "b", "c", "d", "end")],
            {"a": ["start"], "b": ["start"], "c": ["a", "b"], "d": ["b"], "end": ["c", "d"]},
            "these tasks wait for each other: 'a', 'b', 'c', 'd'; submit_workflow() runs it",
        ),
        ([Task("tell", name="a", when=True)], {}, "task 'a' has a condition (when=)"),
        (
            [Task("tell", name="a"), Task("tell", name="m", map="a")],
            {},
            "task 'm' decides at run time what comes next",
        ),
        (
            [Task("tell", name="a"), Task("tell", name="b"), Task("tell", name="c", need=1)],
            {"c": ["a", "b"]},
            "task 'c' needs only some of its dependencies",
        ),
        (
            [Task("tell", name="a"), Task("tell", name="b", on_failure="a")],
            {},
            "task 'b' runs on failure",
        ),
    ],
)
def test_a_graph_that_a_canvas_cannot_say_is_refused_with_its_tasks(
    orch: Orchestrator, tasks: list[Task], dependencies: dict[str, list[str]], text: str
) -> None:
    workflow = Workflow("shape", tasks, dependencies)
    with pytest.raises(InvalidWorkflowError) as raised:
        orch.to_canvas(workflow)
    assert text in str(raised.value)
    assert not workflow.is_live
    assert orch._store.client.exists(f"pyagent:1:canvas:workflow:{workflow.id}") == 0


# --- Celery tasks as agents -----------------------------------------------------------------


def test_a_celery_task_or_signature_is_the_agent_of_a_task(orch: Orchestrator) -> None:
    def build() -> Workflow:
        return Workflow(
            "legacy",
            [
                Task("tell", "bees", name="word"),
                Task(count, "{word.output}", name="counted"),
                Task(count.s(times=3), "{word.output}", name="three times"),
                Task(count.s(2), "{word.output}", name="twice"),
                Task(stamp.si(), "ignored", name="stamped"),
                Task("tell", {"sum": ["{counted.output}", "{twice.output}"]}, name="sum"),
            ],
        )

    outputs = orch.submit_workflow(build()).wait(10).outputs
    assert outputs == {
        "word": "bees", "counted": 4, "three times": 12, "twice": 8, "stamped": "stamped",
        "sum": {"sum": [4, 8]},
    }  # fmt: skip
    assert orch.submit(count, "bees").result(10) == 4
    task = orch.submit(count.s(1, times=2), "bees")
    task.wait(10)
    assert task.status == "failed"
    assert "TypeError" in task.error


def test_a_canvas_of_several_tasks_is_no_agent(orch: Orchestrator) -> None:
    for canvas in (chain(count.s(), stamp.si()), group(count.s(), count.s())):
        with pytest.raises(AgentNotPortableError, match="is no agent; make its tasks the tasks of"):
            orch.submit(canvas, "x")


def test_a_celery_task_that_no_worker_has_fails_with_its_name(orch: Orchestrator) -> None:
    task: Any = orch.submit(begin, "x").wait(10)
    assert task.status == "failed"
    assert "plain_app.begin" in task.error
