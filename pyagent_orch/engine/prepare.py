"""From a user's task to the record that the acts write: agents, inputs, fields."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pyagent_orch.agents import is_registered, resolve_function, to_wire
from pyagent_orch.agents.contract import AgentWire
from pyagent_orch.agents.functions import path_of
from pyagent_orch.agents.local import local_key
from pyagent_orch.agents.spec import wire_of
from pyagent_orch.config import Settings
from pyagent_orch.engine.celery_agents import celery_wire
from pyagent_orch.exceptions import (
    AgentError,
    AgentNotFoundError,
    AgentNotPortableError,
    InputError,
    InvalidTaskError,
)
from pyagent_orch.inputs import CompiledInput, compile_input
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.values import to_json
from pyagent_orch.store import Store
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.workflows import Flow, as_flow

FLEET_AGENTS_SECONDS = 10.0
"""How long the names that the fleet's workers know are believed."""
NO_WORKERS_SECONDS = 0.5
"""How long it is believed that there is no worker to ask."""
LOCAL_FUNCTION = "local:"
"""What the path of a function begins with that only this process has."""
_PLAIN = '{"v":'


class Preparer:
    """Makes records of tasks. Safe to share between threads.

    Args:
        store: asked for the agents that the fleet's workers know.
        settings: the defaults of what a task does not say.
        local: whether the worker is in this process, so that any callable can be an agent.
    """

    def __init__(self, store: Store, settings: Settings, *, local: bool) -> None:
        self._store, self._settings, self._local = store, settings, local
        self.agents: dict[str, str] = {}
        """Maps the content hash of every agent seen so far to its JSON."""
        self._fleet_agents: tuple[float, frozenset[str] | None] = (float("-inf"), None)

    def task(self, task: Task) -> NewTask:
        """A task that is in no workflow.

        Raises:
            InvalidTaskError: its agent or its input cannot be sent.
            AgentNotFoundError: no worker knows its agent's name.
        """
        if isinstance(as_flow(task.agent), Flow):
            raise InvalidTaskError(
                task.name,
                "a pattern adds tasks to its workflow, so it needs one: "
                "submit_workflow(Workflow(tasks=[task]))",
            )
        given = compile_input(
            task.name, task.input, {}, resolve_path=lambda f: self.path_for(task.name, f)
        )
        fields = self.fields(task, self.agent(task.name, task.agent), given)
        return NewTask(task.id, fields, int(task.delay * 1000), task.key or "")

    def fields(
        self, task: Task, agent: str, given: CompiledInput, name: str | None = None
    ) -> dict[str, str | int | float]:
        """What the record of a task begins with."""
        fields: dict[str, str | int | float] = {
            "name": name or task.name,
            "agent": agent,
            "queue": task.queue or self._settings.queue,
            "priority": task.priority,
        }
        if given.plain and given.json.startswith(_PLAIN):
            fields["input"] = given.json[len(_PLAIN) : -1]
        else:
            fields["template"] = given.json
        if task.metadata:
            fields["metadata"] = encode(task.name, task.metadata, "metadata")
        if task.timeout is not None:
            fields["timeout"] = task.timeout
        if task.retry is not None:
            fields["retry"] = task.retry.model_dump_json(exclude_defaults=True)
        return fields

    def agent(self, task: str, agent: object) -> str:
        """The content hash of an agent, whose JSON is kept for the store."""
        wire = self._wire(task, agent)
        self.agents[wire.hash] = wire.json
        return wire.hash

    def _wire(self, task: str, agent: object) -> AgentWire:
        agent = as_flow(agent)
        if isinstance(agent, Flow):
            return self._flow_wire(task, agent)
        try:
            wire = celery_wire(agent) or to_wire(agent, local=self._local)
        except InvalidTaskError as error:
            raise type(error)(task, error.problem) from None
        except AgentError as error:
            raise InvalidTaskError(task, error.problem) from None
        if isinstance(agent, str) and not is_registered(agent):
            self._check_fleet_knows(agent)
        return wire

    def _flow_wire(self, task: str, flow: Flow) -> AgentWire:
        agents = {label: self._wire(task, agent).json for label, agent in flow.agents.items()}
        spec = encode(task, flow.spec, "settings")
        content: Mapping[str, Any] = {
            "kind": "flow", "flow": flow.name, "spec": spec, "agents": agents
        }  # fmt: skip
        return wire_of(content, flow.name)

    def _check_fleet_knows(self, name: str) -> None:
        """Refuse a name that no living worker has; without any worker it may yet come."""
        asked, names = self._fleet_agents
        believed = NO_WORKERS_SECONDS if names is None else FLEET_AGENTS_SECONDS
        # Never refused by what was asked earlier: a worker may have come since.
        refused = names is not None and name not in names
        if refused or time.monotonic() - asked > believed:
            names = self._store.fleet.known_agents()
            self._fleet_agents = (time.monotonic(), names)
        if names is not None and name not in names:
            raise AgentNotFoundError(name, names)

    def path_for(self, task: str, function: Callable[..., Any]) -> str:
        """What a worker finds a function of the outputs by.

        Raises:
            AgentNotPortableError: workers in other processes cannot find it.
        """
        if self._local:
            return LOCAL_FUNCTION + local_key(function)
        path = path_of(function)
        try:
            found = resolve_function(path)
        except AgentNotFoundError:
            found = None
        if found is not function:
            raise AgentNotPortableError(
                task,
                f"workers in other processes cannot find the function {path!r}; define it at the "
                "top of a module that registers agents and that PYAGENT_ORCH_AGENTS names",
            )
        return path


def encode(task: str, value: object, what: str) -> str:
    """Write a value of a task as JSON.

    Raises:
        InputError: it has no JSON form.
    """
    try:
        text = to_json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            task,
            f"its {what} cannot be sent as JSON ({error}); give text, numbers, lists, "
            "dictionaries with text keys, or a pydantic model",
        ) from None
    return text
