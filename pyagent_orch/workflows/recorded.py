"""The graph of a workflow as it is recorded, with what was decided at run time in it.

Pure; works on the records that a live workflow has read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyagent_orch.graph import Graph, build_graph
from pyagent_orch.models.tasks import Task


def recorded_graph(
    workflow: str, tasks: Sequence[Task], edges: Mapping[str, Iterable[str]]
) -> Graph:
    """Who waits for whom.

    Args:
        workflow: its name.
        tasks: all its tasks, live.
        edges: maps the ids of tasks to the ids they wait for, as submitted.
    """
    named = [(task.id, task.record.name if task.record else task.name) for task in tasks]
    known = {task_id for task_id, _ in named}
    waits = {
        task: [one for one in on if one in known] for task, on in edges.items() if task in known
    }
    submitted = {*waits, *(one for on in waits.values() for one in on)}
    before = {task: tuple(on) for task, on in waits.items()}
    for task in tasks:
        parent = task.record.parent if task.record else None
        if parent in known and parent is not None and task.id not in submitted:
            # Spawned: it came after what its flow waited for, and the flow waited for it.
            waits[task.id] = list(before.get(parent, ()))
            waits.setdefault(parent, []).append(task.id)
    return build_graph(workflow, named, waits)
