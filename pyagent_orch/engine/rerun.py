"""A new run of a recorded workflow that reuses what is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from uuid import uuid4

from pyagent_orch.engine.dispatch import Dispatcher
from pyagent_orch.exceptions import TaskNotFoundError, WorkflowNotFoundError
from pyagent_orch.models.values import to_json
from pyagent_orch.states import TaskStatus
from pyagent_orch.store import Store
from pyagent_orch.store.newtasks import NewTask

_KEPT = (
    "name", "agent", "queue", "priority", "input", "template", "metadata", "timeout", "retry",
    "when", "context", "tick",
)  # fmt: skip
_EDGES = ("next", "rescue", "after", "rescues", "afters")
Fields = Mapping[str, str]


def rerun_workflow(
    store: Store, dispatcher: Dispatcher, workflow_id: str, from_task: str | None
) -> str:
    """Record a copy of a workflow under a new id, and start it.

    Args:
        store: where it is.
        dispatcher: sends the copy.
        workflow_id: the workflow.
        from_task: id or name of the task to begin with: it and all that depends on it run
            again, other recorded outputs are reused. None: everything runs again.

    Returns:
        The id of the copy.

    Raises:
        WorkflowNotFoundError: there is no record of it.
        TaskNotFoundError: it has no such task.
    """
    fields = store.workflows.raw(workflow_id)
    record = store.workflows.get(workflow_id)
    task_ids = store.workflows.task_ids(workflow_id)
    raw = dict(zip(task_ids, store.workflows.raw_tasks(task_ids), strict=True))
    if any(not task for task in raw.values()):
        raise WorkflowNotFoundError(workflow_id)
    # What a flow spawned belongs to its run; the flow of the copy spawns its own.
    tasks = {task_id: task for task_id, task in raw.items() if "parent" not in task}
    again = _again(tasks, from_task)
    reused = {
        task_id
        for task_id, task in tasks.items()
        if task_id not in again and task["status"] == TaskStatus.COMPLETED
    }
    # A branch that was not taken, or what was not needed any more, stays so.
    left_out = {
        task_id
        for task_id, task in tasks.items()
        if task_id not in again
        and task.get("skip") == "out"
        and task["status"] in {TaskStatus.SKIPPED, TaskStatus.CANCELLED}
    }
    new_ids = {task_id: str(uuid4()) for task_id in tasks}
    outputs = {
        one.id: to_json(one.output)
        for one in store.records.get_many(list(reused))
        if one is not None
    }
    copies = [copy_task(task_id, tasks, new_ids, outputs, left_out) for task_id in tasks]
    new_id = str(uuid4())
    kept: dict[str, str] = {
        name: fields[name] for name in ("name", "pattern", "metadata") if name in fields
    }
    kept["results"] = " ".join(new_ids[one] for one in record.results if one in new_ids)
    kept["edges"] = to_json(
        {
            new_ids[task]: [new_ids[one] for one in on if one in new_ids]
            for task, on in store.workflows.edges(workflow_id).items()
            if task in new_ids
        }
    )
    kept["origin"] = workflow_id
    agents = store.workflows.agents(sorted({str(copy.fields["agent"]) for copy in copies}))
    deadline = int(fields["deadline"]) / 1000 if "deadline" in fields else None
    dispatcher.send_workflow(new_id, kept, copies, deadline, agents)
    return new_id


def _again(tasks: Mapping[str, Fields], from_task: str | None) -> set[str]:
    """The ids of the tasks that run again."""
    if from_task is None:
        return set(tasks)
    first = (
        from_task
        if from_task in tasks
        else next((found for found, task in tasks.items() if task["name"] == from_task), None)
    )
    if first is None:
        raise TaskNotFoundError(from_task)
    again, agenda = {first}, [first]
    while agenda:
        task = tasks[agenda.pop()]
        for follower in (task.get("next", "") + " " + task.get("rescue", "")).split():
            if follower in tasks and follower not in again:
                again.add(follower)
                agenda.append(follower)
    return again


def copy_task(
    task_id: str,
    tasks: Mapping[str, Fields],
    new_ids: Mapping[str, str],
    outputs: Mapping[str, str],
    left_out: set[str],
) -> NewTask:
    """A task of a workflow under a new id.

    Args:
        task_id: its present id.
        tasks: maps the ids of all tasks of the workflow to their records.
        new_ids: maps those ids to the new ones.
        outputs: maps the ids of those whose outputs are reused to the outputs, JSON.
        left_out: the ids of those that stay left out.
    """
    task = tasks[task_id]
    fields: dict[str, str | int | float] = {name: task[name] for name in _KEPT if name in task}
    for name in _EDGES:
        if name in task:
            fields[name] = " ".join(_renamed(task[name].split(), new_ids))
    # A flow that went on has other dependencies by now; it begins anew with its first.
    first = "0" if "deps0" in task else ""
    deps: dict[str, str] = json.loads(task.get(f"deps{first}") or "{}")
    fields["n"] = task.get(f"n{first}", "0")
    for name in ("need", "cancel_rest"):
        if task.get(name + first):
            fields[name] = task[name + first]
    if task.get("expanded") == "":
        fields["expanded"] = ""
    if deps:
        fields["deps"] = to_json({new_ids[one]: name for one, name in deps.items()})
        # Templates and conditions go on naming the tasks of the first run.
        old = json.loads(task.get("aliases") or "{}")
        fields["aliases"] = to_json({new_ids[one]: old.get(one, one) for one in deps})
        fields["ok"] = sum(one in outputs for one in deps)
        fields["out"] = sum(one in left_out for one in deps)
    if "inside" in task:
        fields["inside"] = new_ids[task["inside"]]
    if "afters" in task:
        done = outputs.keys() | left_out
        fields["blocked"] = sum(one not in done for one in task["afters"].split())
    if task_id in left_out:
        fields |= {"skip": "out", "error": task.get("error", "")}
    return NewTask(
        new_ids[task_id], fields, int(task.get("delay", 0)), output=outputs.get(task_id, "")
    )


def _renamed(ids: Iterable[str], new_ids: Mapping[str, str]) -> Iterable[str]:
    return (new_ids[one] for one in ids if one in new_ids)
