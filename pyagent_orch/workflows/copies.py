"""Copies of a workflow that a user built: new ids, the same agents and inputs.

Pure. A copy can be submitted beside the first one, such as with another pattern.
"""

from __future__ import annotations

from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.tasks import Task
from pyagent_orch.workflows.workflow import Workflow


def copy_of(workflow: Workflow) -> Workflow:
    """The same workflow under new ids, not submitted yet.

    Raises:
        InvalidWorkflowError: it was looked up; its agents and inputs are not here.
    """
    built = workflow.built
    if built is None:
        raise InvalidWorkflowError(
            workflow.name, "it was looked up and not built here; rerun() runs it anew"
        )
    fresh = Workflow(
        workflow.name,
        pattern=workflow.pattern,
        deadline=workflow.deadline,
        metadata=workflow.metadata,
        callback=workflow.callback,
        max_rounds=workflow.max_rounds,
    )
    tasks = {task.id: _copy_task(task) for task in built}
    new_ids = {old: task.id for old, task in tasks.items()}
    for task in tasks.values():
        if task.map is not None:
            task.map = new_ids.get(task.map, task.map)
        task.on_failure = [new_ids.get(one, one) for one in task.on_failure]
    fresh.tasks.extend(tasks.values())
    fresh.dependencies = {
        new_ids.get(task, task): [new_ids.get(one, one) for one in on]
        for task, on in workflow.dependencies.items()
    }
    # A copy of a copy: functions know the ids of the very first.
    older = {old: new_ids.get(id_, id_) for old, id_ in workflow.aliases.items()}
    fresh.aliases = {**older, **new_ids}
    return fresh


def _copy_task(task: Task) -> Task:
    fresh = task.copy()
    if isinstance(task.agent, Workflow):
        fresh.agent = copy_of(task.agent)
    return fresh
