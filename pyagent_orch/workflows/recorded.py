"""What the records of a workflow's tasks say together: outputs, and the graph as it is by now.

Pure; works on the records that a live workflow has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyagent_orch.models.tasks import Task
from pyagent_orch.models.usage import Usage, total
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.graph import Graph


def is_final(task: Task) -> bool:
    """Whether the record here is a final one, which does not change any more."""
    return task.record is not None and task.record.status.is_final


def is_part(task: Task) -> bool:
    """Whether a task is part of another: of a sub-workflow, or decided at run time."""
    return task.record is not None and task.record.parent is not None


def outputs_of(tasks: Iterable[Task]) -> dict[str, Any]:
    """Maps the names of the completed ones to their outputs; ids where names collide."""
    tasks = list(tasks)
    names = Counter(task.name for task in tasks)
    return {
        task.name if names[task.name] == 1 else task.id: task.record.output
        for task in tasks
        if task.record is not None and task.record.status is TaskStatus.COMPLETED
    }


def usage_of(tasks: Iterable[Task]) -> Usage:
    """What the model calls of these tasks cost together."""
    return total(task.record.usage for task in tasks if task.record and task.record.usage)


def recorded_graph(
    workflow: str, tasks: Sequence[Task], edges: Mapping[str, Iterable[str]]
) -> Graph:
    """Who waits for whom.

    Args:
        workflow: its name.
        tasks: all its tasks, live.
        edges: maps the ids of tasks to the ids they wait for, as submitted.
    """
    from pyagent_orch.graph import build_graph

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
