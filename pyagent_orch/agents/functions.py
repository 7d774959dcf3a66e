"""What this room knows about a callable: its names, whether it is async, what it takes.

Ground of the agents' room; the standard library only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """A callable that may be run, with what is worth finding out only once."""

    call: Callable[..., Any]
    path: str
    """`module:qualname`; tells a reload from another function of the same name."""
    is_async: bool
    takes_context: bool
    """Whether it has a parameter `context`."""

    @classmethod
    def of(cls, call: Callable[..., Any]) -> Function:
        """Look at a callable: a function, a method, a partial, or an object with `__call__`."""
        return cls(call, path_of(call), is_async(call), _takes_context(call))


def innermost(call: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a chain of `functools.partial` ends in."""
    while isinstance(call, functools.partial):
        call = call.func
    return call


def path_of(call: Callable[..., Any]) -> str:
    """`module:qualname` of a callable, or of its class where it has none itself."""
    call = innermost(call)
    named = call if hasattr(call, "__qualname__") else type(call)
    module = getattr(named, "__module__", None) or "builtins"
    return f"{module}:{named.__qualname__}"


def readable_name(call: Callable[..., Any]) -> str:
    """A callable's name for people: the last part of its qualified name."""
    last = path_of(call).rpartition(":")[2].rpartition(".")[2]
    return last.strip("<>")


def is_async(call: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    call = innermost(call)
    if inspect.iscoroutinefunction(call):
        return True
    return not inspect.isroutine(call) and inspect.iscoroutinefunction(type(call).__call__)


def _takes_context(call: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(call).parameters.get("context")
    except (TypeError, ValueError):
        return False  # Some built-in functions have no signature.
    return parameter is not None and parameter.kind in {
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }
