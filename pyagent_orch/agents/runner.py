"""Running an agent for a task: `invoke`, and `cancel_run`.

The top of the room. Callables run in the caller's thread or in one of their
own, everything that can be awaited on the process' one background loop.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from typing import Any, TypeVar

from pyagent_orch.agents.calls import ask
from pyagent_orch.agents.contract import RUN, AgentOutcome, Invocation, RunState, shorter
from pyagent_orch.agents.functions import Function
from pyagent_orch.agents.local import local_function
from pyagent_orch.agents.loop import background_loop, cancel_on_loop, in_daemon_thread
from pyagent_orch.agents.outputs import as_json
from pyagent_orch.agents.registry import AGENTS, resolve_function
from pyagent_orch.agents.spec import Agent
from pyagent_orch.agents.wire import CallableRef, from_wire
from pyagent_orch.exceptions import TaskTimeoutError
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue

T = TypeVar("T")


def invoke(
    wire_json: str,
    input: JSONValue,  # noqa: A002 - the contract's name
    invocation: Invocation,
    bill: Callable[[Usage], object] = lambda _: None,
) -> AgentOutcome:
    """Run an agent and wait for its output.

    A synchronous callable without a deadline, or where a signal can end it, runs
    in the calling thread; else in a daemon thread that is left behind at the
    deadline. Coroutines and model calls run on the background loop, and end
    with the deadline, with `cancel_run`, or with an exception that a signal
    raises here.

    Args:
        wire_json: what `to_wire` made.
        input: the task's input.
        invocation: the attempt; its deadline starts now.
        bill: called when it fails, with what its model calls cost until then.

    Raises:
        AgentNotFoundError: this process has no such agent.
        AgentError: the wire form or the output is not usable; `ModelError` and
            `ModelRequestError` among them.
        TaskTimeoutError: the deadline passed.
        TaskCancelledError: `cancel_run` was called.
        Exception: whatever a callable raises.
    """
    limit = invocation.deadline_seconds
    state = RunState(invocation, None if limit is None else time.monotonic() + limit)
    token = RUN.set(state)
    try:
        target = from_wire(wire_json)
        if isinstance(target, Agent):
            output = _run_model(target, input, state)
        else:
            if isinstance(target, CallableRef):
                function = AGENTS.get(target.name) or Function.of(resolve_function(target.name))
            else:
                function = local_function(target.key)
            output = as_json(_run_callable(function, input, state), invocation.name)
    except BaseException:
        spent = state.total_usage()
        if spent is not None:
            bill(spent)
        raise
    finally:
        RUN.reset(token)
    return AgentOutcome(output, state.total_usage())


def call_in_time(function: Callable[[], Any], invocation: Invocation) -> object:
    """Call a function that is no agent, but part of a run, as a callable is called by `invoke`.

    Args:
        function: a function, or a coroutine function.
        invocation: what the deadline, which starts now, and errors are taken from.

    Raises:
        TaskTimeoutError: the deadline passed.
        TaskCancelledError: `cancel_run` was called.
        Exception: whatever it raises.
    """
    limit = invocation.deadline_seconds
    state = RunState(invocation, None if limit is None else time.monotonic() + limit)
    return _call(function, state, in_place=inspect.iscoroutinefunction(function))


def cancel_run(task_id: str) -> bool:
    """Cancel what runs for a task on this process' loop: a model call or an async agent.

    The blocked `invoke` raises TaskCancelledError at once. Model calls that a
    synchronous callable makes are cancelled too, the callable's own code is not.

    Returns:
        Whether anything was running for it.
    """
    return cancel_on_loop(task_id)


def _run_model(agent: Agent, value: JSONValue, state: RunState) -> JSONValue:
    invocation = state.invocation
    work = ask(
        agent,
        value,
        default_model=invocation.default_model,
        context=invocation.context,
        text=invocation.text,
    )
    return background_loop().run(
        work,
        task_id=invocation.task_id,
        agent=agent.name,
        limit=shorter(state.remaining(), agent.timeout_seconds),
    )


def _run_callable(function: Function, value: JSONValue, state: RunState) -> object:
    def call() -> Any:
        if function.takes_context:
            return function.call(value, context=dict(state.invocation.context))
        return function.call(value)

    return _call(call, state, in_place=function.is_async)


def _call(function: Callable[[], Any], state: RunState, *, in_place: bool) -> object:
    invocation = state.invocation
    if in_place or state.ends_at is None or invocation.interruptible:
        result = function()
    else:
        thread = in_daemon_thread(function)
        wait([thread], state.remaining())
        if not thread.done():
            raise TaskTimeoutError(
                invocation.task_id,
                f"{invocation.name!r} did not return within {invocation.deadline_seconds:g} s",
            )
        result = thread.result()
    if inspect.isawaitable(result):
        # Also what a lambda or a partial around a coroutine function returns.
        result = background_loop().run(
            _awaited(result),
            task_id=invocation.task_id,
            agent=invocation.name,
            limit=state.remaining(),
        )
    return result


async def _awaited(result: Awaitable[T]) -> T:
    return await result
