"""A workflow as a real Celery canvas: chains, groups and chords.

For use inside a plain Celery canvas, or to be sent by itself. Celery then
starts the tasks; records, inputs, events and results are the same as in any run,
since each node is the same Celery task. What Celery's canvas loses with a dead
worker, the rest of the chain, is lost here too; the workflow itself goes on.
Where a canvas cannot say the graph exactly it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery, chain, group

from pyagent_orch.engine.dispatch import Dispatcher
from pyagent_orch.engine.message import RUN_TASK
from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.store.store import HARD_LIMIT_GRACE_SECONDS
from pyagent_orch.workflows import Flow, Plan, Workflow

_SHOWN = 12
"""How many names an error lists."""


def to_canvas(
    app: Celery, dispatcher: Dispatcher, workflow: Workflow, sender: Celery | None = None
) -> tuple[Any, Plan]:
    """Record a workflow; returns the canvas that runs it, and its plan.

    Args:
        app: the app whose workers run it.
        dispatcher: writes the records.
        workflow: not submitted yet.
        sender: the app that sends it, if it is another one.

    Raises:
        InvalidWorkflowError: a canvas cannot say it; nothing is written. The text names the tasks.
    """
    plan = dispatcher.plan(workflow)
    _refuse_decisions(plan)
    shape = decompose(plan)
    dispatcher.send_plan(plan, external=True)
    tasks = {one.task.id: one for one in plan.tasks}
    roots = set(plan.graph.roots)
    sender = sender or app

    def build(part: Shape) -> Any:
        if isinstance(part, str):
            task = tasks[part].task
            return sender.signature(
                RUN_TASK,
                task_id=part,
                **_limits(task.timeout),
                queue=task.queue or app.conf.task_default_queue,
                # Ours runs from 1, the transport's from 0.
                priority=task.priority - 1,
                shadow=tasks[part].name,
                # Only the first tasks take what a canvas around this one hands on.
                immutable=part not in roots,
            )
        kind, parts = part
        built = [build(inner) for inner in parts]
        return chain(*built, app=sender) if kind == "chain" else group(built, app=sender)

    return build(shape), plan


def _limits(timeout: float | None) -> dict[str, float]:
    """Celery's time limits, as the acts put them into a message."""
    if timeout is None:
        return {}
    return {"soft_time_limit": timeout, "time_limit": timeout + HARD_LIMIT_GRACE_SECONDS}


Shape = str | tuple[str, Sequence[Any]]
"""A task's id, or `chain` or `group` with the shapes that it is made of."""


def decompose(plan: Plan) -> Shape:
    """Take a graph apart into chains and groups, exactly.

    In a canvas everything in one link of a chain comes before everything in the
    next; so what it can say are the graphs that come apart, again and again, into
    parts with nothing between them, or parts of which each waits for all of the
    one before (series-parallel orders).

    Raises:
        InvalidWorkflowError: the graph is not one of these.
    """
    graph = plan.graph
    order = graph.order()
    bit = {task: 1 << place for place, task in enumerate(order)}
    before: dict[str, int] = {}
    for task in order:
        mask = 0
        for parent in graph.parents[task]:
            mask |= before[parent] | bit[parent]
        before[task] = mask

    def shape(ids: Sequence[str]) -> Shape:
        if len(ids) == 1:
            return ids[0]
        parts = _unconnected(ids, before, bit)
        if len(parts) > 1:
            return "group", [shape(part) for part in parts]
        links = _links(ids, before, bit)
        if len(links) > 1:
            return "chain", [shape(link) for link in links]
        stuck = [task for task in graph.ids if task in ids]
        names = ", ".join(repr(graph.names[task]) for task in stuck[:_SHOWN])
        raise InvalidWorkflowError(
            plan.workflow.name,
            f"a Celery canvas cannot say without false barriers how these tasks wait for each "
            f"other: {names}{' ...' if len(ids) > _SHOWN else ''}; submit_workflow() runs it",
        )

    return shape(order)


def _unconnected(
    ids: Sequence[str], before: Mapping[str, int], bit: Mapping[str, int]
) -> list[list[str]]:
    """Parts with nothing between them, each in order."""
    whole = 0
    for task in ids:
        whole |= bit[task]
    parts: list[tuple[int, list[str]]] = []
    for task in ids:
        mask = (before[task] & whole) | bit[task]
        touching = [part for part in parts if part[0] & mask]
        parts = [part for part in parts if not part[0] & mask]
        members = [member for part in touching for member in part[1]]
        for part in touching:
            mask |= part[0]
        parts.append((mask, [*members, task]))
    place = {task: number for number, task in enumerate(ids)}
    return [sorted(members, key=place.__getitem__) for _, members in parts]


def _links(
    ids: Sequence[str], before: Mapping[str, int], bit: Mapping[str, int]
) -> list[list[str]]:
    """Parts of which each waits for all of the one before."""
    whole = 0
    for task in ids:
        whole |= bit[task]
    waiting = sorted(ids, key=lambda task: (before[task] & whole).bit_count())
    all_wait_for = [0] * (len(waiting) + 1)
    all_wait_for[-1] = whole
    for place in range(len(waiting) - 1, -1, -1):
        all_wait_for[place] = all_wait_for[place + 1] & before[waiting[place]]
    links: list[list[str]] = [[]]
    seen = 0
    for place, task in enumerate(waiting):
        if place and not seen & ~all_wait_for[place]:
            links.append([])
        links[-1].append(task)
        seen |= bit[task]
    return links


def _refuse_decisions(plan: Plan) -> None:
    """A canvas is fixed when it is sent: nothing in it can be decided while it runs."""
    for one in plan.tasks:
        reason = (
            "has a condition (when=)"
            if one.when is not None
            else "runs on failure"
            if one.rescues
            else "needs only some of its dependencies"
            if one.need
            else "decides at run time what comes next"
            if isinstance(one.agent, Flow)
            else None
        )
        if reason:
            raise InvalidWorkflowError(
                plan.workflow.name,
                f"its task {one.name!r} {reason}, which a Celery canvas cannot say; "
                "submit_workflow() runs it",
            )
