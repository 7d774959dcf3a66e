"""Celery's own tasks and signatures as agents."""

from __future__ import annotations

import json
from typing import Any

from celery import Celery, Signature
from celery import Task as CeleryTask

from pyagent_orch.agents.contract import AgentWire
from pyagent_orch.agents.spec import wire_of
from pyagent_orch.exceptions import AgentNotFoundError, AgentNotPortableError
from pyagent_orch.models.values import JSONValue


def celery_wire(agent: object) -> AgentWire | None:
    """How a Celery task or signature crosses the wire; None for anything else.

    Raises:
        AgentNotPortableError: it is a canvas of several tasks.
    """
    if isinstance(agent, Signature):
        if agent.get("subtask_type"):
            raise AgentNotPortableError(
                str(agent.get("task")),
                f"a {agent['subtask_type']} is no agent; make its tasks the tasks of a Workflow",
            )
        content = {
            "kind": "celery",
            "task": agent["task"],
            "args": list(agent.get("args") or ()),
            "kwargs": dict(agent.get("kwargs") or {}),
            "immutable": bool(agent.get("immutable")),
        }
        return wire_of(content, agent["task"])
    if isinstance(agent, CeleryTask):
        return wire_of({"kind": "celery", "task": agent.name}, agent.name)
    return None


def run_celery_agent(app: Celery, content: dict[str, Any], value: JSONValue) -> Any:
    """Call a Celery task of the worker's app in this process, as its own code would be called.

    Raises:
        AgentNotFoundError: the app has no such task.
    """
    task = app.tasks.get(content["task"])
    if task is None:
        raise AgentNotFoundError(content["task"], sorted(app.tasks))
    # A signature's own arguments come after what it is given, as in a chain.
    given = [] if content.get("immutable") else [value]
    return task(*given, *content.get("args", ()), **content.get("kwargs", {}))


def celery_content(wire: str) -> dict[str, Any] | None:
    """The parts of a wire form that is a Celery task's; None for any other."""
    if '"kind":"celery"' not in wire:
        return None
    content: dict[str, Any] = json.loads(wire)
    return content if content.get("kind") == "celery" else None
