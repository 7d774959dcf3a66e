"""Calling an agent like a function: in place, within a run or outside any.

Within a run the call takes the run's model, ends with the run's deadline and
with its cancel, and its cost counts for the run. The one place of the room that
reads the environment, when called: outside a run there is nobody to hand a model in.
"""

from __future__ import annotations

import functools
import os
import sys
import uuid
from typing import Any

from pyagent_orch.agents.calls import ask
from pyagent_orch.agents.contract import RUN, shorter
from pyagent_orch.agents.loop import background_loop, from_thread
from pyagent_orch.agents.outputs import as_json
from pyagent_orch.agents.spec import Agent
from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus


def call(agent: Agent[Any], value: object) -> JSONValue:
    """Run an agent on the background loop and wait for its JSON output."""
    if _is_task(value):
        value = _output_of(value)
    return background_loop().run(
        _asked(agent, value), task_id=_task_id(), agent=agent.name, limit=_limit(agent)
    )


async def acall(agent: Agent[Any], value: object) -> JSONValue:
    """Run an agent on the background loop without blocking the caller's own loop."""
    if _is_task(value):
        value = await from_thread(functools.partial(_output_of, value))
    return await background_loop().run_from(
        _asked(agent, value), task_id=_task_id(), agent=agent.name, limit=_limit(agent)
    )


async def _asked(agent: Agent[Any], value: object) -> JSONValue:
    state = RUN.get()
    model = (
        os.environ.get("PYAGENT_ORCH_MODEL") if state is None else state.invocation.default_model
    )
    return await ask(agent, _as_input(agent, value), default_model=model or None, context={})


def _task_id() -> str:
    state = RUN.get()
    return f"call-{uuid.uuid4().hex}" if state is None else state.invocation.task_id


def _limit(agent: Agent[Any]) -> float | None:
    state = RUN.get()
    return shorter(None if state is None else state.remaining(), agent.timeout_seconds)


def _as_input(agent: Agent[Any], value: object) -> JSONValue:
    try:
        return as_json(value, agent.name)
    except AgentError:
        raise AgentError(
            agent.name, f"its input, a {type(value).__name__}, has no JSON form"
        ) from None


def _output_of(task: Any) -> object:
    """The output of a Task; waits for it where it is not known yet."""
    record = task.record
    if record is not None and record.status is TaskStatus.COMPLETED:
        return record.output
    return task.result()


def _is_task(value: object) -> bool:
    # Where the module was never imported, nothing can be a Task.
    module = sys.modules.get("pyagent_orch.models.tasks")
    return module is not None and isinstance(value, module.Task)
