"""What a workflow writes into the stream, each thing once, and what it leaves in Redis: nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from uuid import uuid4

from pyagent_orch import Orchestrator, Settings, Task, Workflow
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.workflows import NewWorkflow
from support.fleet import until
from support.rehearsal import Gate, Rehearsal, fails


def events_of(orch: Orchestrator, workflow: Workflow) -> Counter[tuple[str, str]]:
    """How often each event was written about the workflow and its tasks."""
    names = {task.id: task.name for task in orch.get_workflow(workflow.id).tasks}
    names[workflow.id] = "the workflow"
    return Counter(
        (names[event.subject], event.type.partition(".")[2])
        for event in orch.events()
        if event.subject in names
    )


def test_every_event_of_a_workflow_is_written_once(embedded: Callable[..., Orchestrator]) -> None:
    orch, cast = embedded(), Rehearsal()
    told: list[tuple[str, str]] = []

    def tell(workflow: Workflow) -> None:
        told.append((workflow.name, workflow.status))

    workflow = Workflow(
        "told", [cast.task("a"), cast.task("b"), cast.task("c", fails), cast.task("d")],
        {"b": ["a"], "d": ["c"]},
    )  # fmt: skip
    orch.on("workflow.*", tell)
    try:
        calls: list[Workflow] = []
        orch.submit_workflow(workflow, callback=calls.append).wait(10)
        until(lambda: calls == [workflow] and ("told", "failed") in told)
    finally:
        orch.off(tell)
    ran = {(name, event): 1 for name in "ab" for event in ("submitted", "started", "completed")}
    assert events_of(orch, workflow) == ran | {
        ("c", "submitted"): 1, ("c", "started"): 1, ("c", "failed"): 1,
        ("d", "submitted"): 1, ("d", "skipped"): 1, ("the workflow", "submitted"): 1,
        ("the workflow", "started"): 1, ("the workflow", "failed"): 1,
    }  # fmt: skip
    last = [event for event in orch.events() if event.subject == workflow.id][-1]
    assert last.data["reason"] == "c failed: ValueError: no luck"


def test_an_expired_workflow_leaves_no_key(embedded: Callable[..., Orchestrator]) -> None:
    cast, namespace = Rehearsal(), f"t{uuid4().hex[:8]}"
    orch = embedded(
        settings=Settings(namespace=namespace, record_ttl_seconds=1, heartbeat_seconds=0.1)
    )
    items, gate = cast.task("items", lambda _: [1, 2]), Gate()
    inner = Workflow("inner", [cast.task("x"), cast.task("y", fails)])
    lives = [
        Workflow("full", [items, cast.task("each", map=items), Task(inner, name="part"),
                          cast.task("sorry", on_failure="part")], deadline=50),
        Workflow("loop", [cast.task("boss"), cast.task("w")], pattern="supervisor"),
        Workflow("stopped", [cast.task("g", gate), cast.task("h")], {"h": ["g"]}),
    ]  # fmt: skip
    for live in lives:
        orch.submit_workflow(live)
    assert gate.came.wait(5)
    lives[2].cancel()
    gate.open()
    orch.wait(*lives, timeout=10)
    lives[0].retry_failed().wait(10)
    keys = Keys(namespace)
    # Those of the workers, and notes of theirs that they throw away by themselves.
    kept = {"events", "workers", "sweeping", "swept", "queues", "suspects", "metrics", "layout"}

    def left() -> set[str]:
        found = orch._store.client.scan_iter(f"*{namespace}:*")
        names = {name.removeprefix(keys.prefix) for name in found}
        return {name for name in names if name not in kept and not name.startswith("worker:")}

    assert any(name.startswith("task:") for name in left())
    until(lambda: not {name for name in left() if "_kombu" not in name}, timeout=8)


def test_a_submit_whose_answer_was_lost_may_be_repeated(
    embedded: Callable[..., Orchestrator],
) -> None:
    orch, cast = embedded(), Rehearsal()
    orch.start()
    store = orch._store.workflows
    submit, answers = store.submit, []

    def twice(workflow: NewWorkflow) -> int:
        # As redis-py does when the connection breaks between the act and its answer.
        answers[:] = [submit(workflow), submit(workflow)]
        return answers[1]

    store.submit = twice  # type: ignore[method-assign] # the second call is the test
    workflow = Workflow("twice", [cast.task("a"), cast.task("b")], {"b": ["a"]})
    assert orch.submit_workflow(workflow) is workflow
    assert workflow.result(10) == "B"
    assert answers[0] == answers[1]
    assert cast.runs == {"a": 1, "b": 1}
    assert set(events_of(orch, workflow).values()) == {1}
    assert [task.attempts for task in workflow.tasks] == [1, 1]
