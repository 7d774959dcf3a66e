"""What the store records, as entries of a state file, and back.

Part of the room of the state file; pure. What a task began with is written once,
and after that only what changes: so an input is in the file one time, however
often its task is tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pyagent_orch.models.values import to_json
from pyagent_orch.state.index import AGENT, JOB, TASK, WORKFLOW
from pyagent_orch.state.lines import Entry
from pyagent_orch.states import FINAL_TASK_STATES, FINAL_WORKFLOW_STATES, TaskStatus, WorkflowStatus
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.snapshots import LostJob, LostTask, LostWorkflow, RawRecord

STATE = "state"
Fields = Mapping[str, str | int | float]

_BEGUN = frozenset(
    {
        "name", "agent", "input", "template", "queue", "priority", "metadata", "timeout", "retry",
        "key", "workflow", "next", "rescue", "after", "rescues", "afters", "when", "context",
        "delay", "parent", "aliases", "inside", "soft", "tick", "job", "edges", "results",
        "pattern", "origin", "deadline",
    }
)  # fmt: skip
"""Fields that never change after a record was written."""
_JOINED = frozenset({"n", "need", "deps", "cancel_rest"})
"""Fields that a flow changes when it goes on; it then has `n0`."""
_PASSING = frozenset(
    {"owner", "ready", "ok", "bad", "out", "blocked", "run", "open", "external", "created"}
)
"""Fields that say something only in the Redis that they are in."""
_OF_A_JOB = frozenset({"rev", "runs", "last", "last_run", "enabled", "problem", "ended"})
"""Fields of a scheduled job that change without its owner."""
DUE = "due"
"""When a task may start or a job runs next, ms: no field of a record, but of what it stands in."""
_OF_AN_END = ("finished", "skip")
_OPEN = frozenset({TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.RETRYING})


def of_agent(content_hash: str, text: str, created: int) -> Entry:
    """An agent's specification, JSON."""
    return Entry(AGENT, content_hash, created, record={"json": text})


def of_new_task(new: NewTask, created: int, workflow: str = "", callback: str = "") -> list[Entry]:
    """A task as it was sent.

    Args:
        new: what was sent.
        created: when it was recorded, ms.
        workflow: the workflow that it is part of.
        callback: see `Entry`.
    """
    record = {
        name: value
        for name, value in new.fields.items()
        if name not in _PASSING and name not in {"skip", "error"}
    }
    if new.key:
        record["key"] = new.key
    if new.delay_ms:
        record["delay"] = new.delay_ms
    agent = str(new.fields["agent"])
    base = Entry(TASK, new.id, created, None, workflow, (agent,), callback, record)
    if not new.output and "skip" not in new.fields:
        return [base]
    # A copy, which was recorded as what it is a copy of had ended.
    ended: dict[str, str | int | float] = {
        "status": (TaskStatus.COMPLETED if new.output else TaskStatus.SKIPPED).value,
        "finished": created,
    }
    ended |= {name: new.fields[name] for name in ("skip", "error") if name in new.fields}
    kind = f"{TASK}.{STATE}"
    return [base, Entry(kind, new.id, created, created, record=ended, output=new.output or None)]


def of_new_workflow(
    workflow_id: str, fields: Fields, deadline_ms: int, created: int, callback: str = ""
) -> Entry:
    """A workflow as it was sent, without its tasks."""
    record = {name: value for name, value in fields.items() if name not in _PASSING}
    if deadline_ms:
        record["deadline"] = deadline_ms
    return Entry(WORKFLOW, workflow_id, created, callback=callback, record=record)


def base_of(noun: str, raw: RawRecord) -> Entry:
    """What a record that somebody else wrote began with."""
    if noun == JOB:
        settled = {
            name: value
            for name, value in raw.fields.items()
            if name not in _OF_A_JOB and name != "created"
        }
        return Entry(noun, raw.id, int(raw.fields["created"]), record=settled)
    record = {
        name: value for name, value in raw.fields.items() if name in _BEGUN or name in _JOINED
    }
    workflow = record.pop("workflow", "")
    agent = raw.fields.get("agent")
    agents = (agent,) if agent else ()
    return Entry(noun, raw.id, int(raw.fields["created"]), None, workflow, agents, record=record)


def state_of(noun: str, raw: RawRecord) -> Entry:
    """How a record stands now."""
    if noun == JOB:
        return _state_of_job(raw)
    left_out = _BEGUN | _PASSING if "n0" in raw.fields else _BEGUN | _PASSING | _JOINED
    record: dict[str, str | int | float] = {
        name: value for name, value in raw.fields.items() if name not in left_out
    }
    if raw.due is not None:
        record[DUE] = raw.due
    final = int(raw.fields["finished"]) if is_final(noun, raw.fields["status"]) else None
    created = int(raw.fields["created"])
    return Entry(f"{noun}.{STATE}", raw.id, created, final, record=record, output=raw.output)


def _state_of_job(raw: RawRecord) -> Entry:
    record: dict[str, str | int | float] = {
        name: value for name, value in raw.fields.items() if name in _OF_A_JOB
    }
    if raw.due is not None:
        record[DUE] = raw.due
    ended = raw.fields.get("ended")
    final = int(ended) if ended else None
    return Entry(f"{JOB}.{STATE}", raw.id, int(raw.fields["created"]), final, record=record)


def is_final(noun: str, status: object) -> bool:
    """Whether a record in this state has ended."""
    return status in (FINAL_TASK_STATES if noun == TASK else FINAL_WORKFLOW_STATES)


def is_plain(state: Entry) -> bool:
    """Whether a state says no more than that something was recorded."""
    return set(state.record) <= {"status", "expanded"} and state.record.get("status") == "pending"


def lost_task(base: Entry, state: Entry | None) -> LostTask:
    """A task as it is to be recorded again."""
    fields = _fields(base, state)
    final = is_final(TASK, fields.get("status"))
    if not final:
        fields["status"] = TaskStatus.PENDING.value
    due = fields.pop(DUE, None)
    delay = 0 if base.workflow else int(fields.pop("delay", 0))
    if due is not None:
        delay = max(0, int(due) - base.created)
    key = str(fields.get("key", ""))
    if base.workflow:
        fields["workflow"] = base.workflow
    if not final:
        return LostTask(base.id, fields, delay, key)
    output = state.output if state is not None else None
    done = datetime.fromtimestamp(int(fields["finished"]) / 1000, tz=UTC).isoformat()
    return LostTask(base.id, fields, 0, key, _celery_result(fields, output), done)


def lost_job(base: Entry, state: Entry | None) -> LostJob:
    """A scheduled job as it is to be recorded again."""
    fields = {**base.record, **(state.record if state is not None else {})}
    due = fields.pop(DUE, None)
    fields["created"] = base.created
    return LostJob(base.id, fields, int(due) if due is not None else None)


def failed(task: LostTask, error: str, reason: str, now: int) -> LostTask:
    """A task that cannot go on, as one that has failed."""
    fields = {
        **task.fields, "status": TaskStatus.FAILED.value, "finished": now,
        "error": to_json({"type": error, "message": reason}),
    }  # fmt: skip
    done = datetime.fromtimestamp(now / 1000, tz=UTC).isoformat()
    return LostTask(task.id, fields, 0, task.key, _celery_result(fields, None), done)


def lost_workflow(base: Entry, state: Entry | None, tasks: Iterable[LostTask]) -> LostWorkflow:
    """A workflow as it is to be recorded again, with its tasks."""
    tasks = list(tasks)
    fields = _fields(base, state)
    if not is_final(WORKFLOW, fields.get("status")) or any(
        task.fields["status"] in _OPEN for task in tasks
    ):
        for name in (*_OF_AN_END, "cause", "cancelled"):
            fields.pop(name, None)
        begun = "started" in fields or any("started" in task.fields for task in tasks)
        fields["status"] = (WorkflowStatus.RUNNING if begun else WorkflowStatus.PENDING).value
        if begun:
            fields.setdefault("started", base.created)
    return LostWorkflow(base.id, fields, tasks)


def _fields(base: Entry, state: Entry | None) -> dict[str, str | int | float]:
    fields = dict(base.record)
    if state is not None:
        if "n0" in state.record:
            for name in _JOINED:
                fields.pop(name, None)
        fields |= state.record
    fields["created"] = base.created
    if state is None or state.final is None:
        for name in _OF_AN_END:
            fields.pop(name, None)
    return fields


def _celery_result(fields: Fields, output: str | None) -> str:
    """The value that Celery's backend has for a task that has ended."""
    if fields["status"] == TaskStatus.COMPLETED:
        return output if output is not None else "null"
    error = json.loads(str(fields.get("error") or "{}"))
    message = str(error.get("message", ""))
    if fields["status"] == TaskStatus.FAILED:
        # Its module is not recorded; Celery makes a class of the name.
        return to_json(
            {"exc_type": error.get("type", "Error"), "exc_message": [message], "exc_module": None}
        )
    return to_json(
        {
            "exc_type": "TaskRevokedError",
            "exc_message": [message],
            "exc_module": "celery.exceptions",
        }
    )
