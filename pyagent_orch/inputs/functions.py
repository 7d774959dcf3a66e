"""Calling a user's function at submit, while outputs are placeholders.

Pure but for that call, which is one of the borders where any error is caught.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping

from pyagent_orch.exceptions import InputError
from pyagent_orch.models.references import Trace, tracing


def takes_outputs(task: str, function: Callable[..., object], use: str) -> bool:
    """Whether a function wants the outputs as its argument, rather than to be traced.

    Args:
        task: the task's name, for errors.
        function: what the user gave.
        use: `input` or `when`, for errors.

    Raises:
        InputError: it is a class, or takes more than one argument.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = None
    if parameters is not None and not isinstance(function, type):
        required = [
            parameter
            for parameter in parameters
            if parameter.default is parameter.empty
            and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        ]
        if not required:
            return False
        if len(required) == 1 and required[0].kind is not inspect.Parameter.KEYWORD_ONLY:
            return True
    shown = getattr(function, "__qualname__", type(function).__name__)
    raise InputError(
        task,
        f"{use}={shown} cannot be used: a function for {use}= takes no argument (it is traced at "
        "submit), or one, the outputs by task name (it runs on the worker)",
    )


def call_traced(
    task: str,
    function: Callable[[], object],
    use: str,
    *,
    conditions: bool = False,
    aliases: Mapping[str, str],
) -> tuple[object, Trace]:
    """Call a function without arguments once while outputs are placeholders.

    Args:
        task: the task's name, for errors.
        function: takes no argument.
        use: `input` or `when`, for errors.
        conditions: whether it may compare outputs.
        aliases: see `Trace`.

    Returns:
        What it gave, and the trace to read it with.

    Raises:
        InputError: it raised, or did what needs the real outputs, or is async.
    """
    with tracing(task, conditions=conditions, aliases=aliases) as trace:
        try:
            value = function()
        except Exception as error:
            if error is trace.refusal:
                raise
            # A refusal that the function turned into another error is the cause.
            raise (trace.refusal or _failed(trace, use, error)) from error
    if inspect.iscoroutine(value):
        value.close()
        raise InputError(task, f"{use}= is an async function; a function that is traced cannot be")
    if trace.refusal is not None:
        raise trace.refusal
    return value, trace


def _failed(trace: Trace, use: str, error: Exception) -> InputError:
    said = str(error)
    if trace.is_marked(said):
        said = "(about an output that does not exist yet)"
    problem = f"the function for {use}= raised {type(error).__name__}: {said}"
    return trace.refuse(problem) if trace.read else InputError(trace.task, problem)


def refuse_unused(trace: Trace, used: Container[str], use: str) -> None:
    """Refuse a function that read an output and gave a value without it.

    It has decided something by the placeholder, such as its length or its type,
    in a way that the placeholder could not see.

    Raises:
        InputError: naming the output.
    """
    for task_id, name in trace.read.items():
        if task_id not in used:
            raise trace.refuse(
                f"the function for {use}= reads the output of {name!r}, but what it gives "
                "does not hold it"
            )
