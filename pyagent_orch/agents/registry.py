"""The agents and tools that this process may run, by name.

Nothing executable crosses the wire: a message holds a name, and a worker runs
only what is registered in it, or a module-level function of a module that it
was told to load or that registered something. Knows no wire form and no model.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, overload

from pyagent_orch.agents.functions import Function, readable_name
from pyagent_orch.exceptions import AgentNotFoundError, ConfigurationError

C = TypeVar("C", bound=Callable[..., Any])


class Registry:
    """Callables by name. Lives as long as the process; safe to share between threads."""

    def __init__(self, noun: str, decorator: str) -> None:
        self._noun, self._decorator = noun, decorator
        self._lock = threading.Lock()
        self._by_name: dict[str, Function] = {}
        # Keyed by identity, since a callable need not be hashable; `_by_name` keeps it alive.
        self._name_of: dict[int, str] = {}

    def add(self, call: Callable[..., Any], name: str) -> None:
        """Register a callable.

        The same function again is fine, also as a new object: a reloaded module
        replaces what it registered before.

        Raises:
            ConfigurationError: the name is empty, or taken by another function.
        """
        if not callable(call):
            raise ConfigurationError(
                f"{self._decorator}({name!r})", f"{type(call).__name__} is not a callable"
            )
        if not name or name != name.strip():
            raise ConfigurationError(
                f"{self._decorator}({name!r})", "a name must not be empty or begin or end in space"
            )
        function = Function.of(call)
        with self._lock:
            before = self._by_name.get(name)
            if before is not None and before.call is not call:
                if before.path != function.path:
                    raise ConfigurationError(
                        f"{self._decorator}({name!r})",
                        f"this {self._noun} name belongs to {before.path} already, "
                        f"so {function.path} needs another one",
                    )
                del self._name_of[id(before.call)]
            self._by_name[name] = function
            self._name_of[id(call)] = name

    def get(self, name: str) -> Function | None:
        """The callable of a name, or None."""
        return self._by_name.get(name)

    def name_of(self, call: object) -> str | None:
        """The name that this very object is registered under, or None."""
        return self._name_of.get(id(call))

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._by_name)

    def snapshot(self) -> Mapping[str, Callable[..., Any]]:
        """What is registered now; does not change later."""
        with self._lock:
            return MappingProxyType({name: f.call for name, f in self._by_name.items()})


AGENTS = Registry("agent", "@register_agent")
TOOLS = Registry("tool", "@register_tool")
_known_modules: set[str] = set()
"""Modules that were loaded by name or registered something."""


@overload
def register_agent(function: C, /) -> C: ...
@overload
def register_agent(name: str, /) -> Callable[[C], C]: ...
def register_agent(function_or_name: C | str, /) -> C | Callable[[C], C]:
    """Make a callable an agent that workers may run.

    Written `@register_agent` or `@register_agent("name")`. The callable, sync or
    async, is called with the task's input, and with `context=` (the outputs of
    upstream tasks by name) if it has such a parameter. It is returned unchanged.

    Raises:
        ConfigurationError: the name belongs to another function already.
    """
    return _register(AGENTS, function_or_name, _module_of_caller())


@overload
def register_tool(function: C, /) -> C: ...
@overload
def register_tool(name: str, /) -> Callable[[C], C]: ...
def register_tool(function_or_name: C | str, /) -> C | Callable[[C], C]:
    """Make a function a tool that agents may name.

    Written `@register_tool` or `@register_tool("name")`. Its type hints and docstring
    are what the model is told. It is returned unchanged.

    Raises:
        ConfigurationError: the name belongs to another function already.
    """
    return _register(TOOLS, function_or_name, _module_of_caller())


def _register(registry: Registry, function_or_name: C | str, module: str) -> C | Callable[[C], C]:
    def decorate(function: C, name: str) -> C:
        registry.add(function, name)
        _known_modules.add(module)
        return function

    if isinstance(function_or_name, str):
        return functools.partial(decorate, name=function_or_name)
    return decorate(function_or_name, readable_name(function_or_name))


def _module_of_caller() -> str:
    # The module that registers, not the one the function is of: what registers `json.dumps` must
    # not open all of `json`.
    return str(sys._getframe(2).f_globals.get("__name__", ""))  # noqa: SLF001 - as logging does


def registered_agents() -> Mapping[str, Callable[..., Any]]:
    """Maps the names of the agents registered in this process to their callables; a snapshot."""
    return AGENTS.snapshot()


def is_registered(name: str) -> bool:
    """Whether this process may run a callable agent of this name or `module:qualname` path."""
    return AGENTS.get(name) is not None or _function_at(name) is not None


def load_agents(modules: Iterable[str]) -> None:
    """Import the modules whose agents and functions this process may run.

    Args:
        modules: dotted names, as in `PYAGENT_ORCH_AGENTS`.

    Raises:
        ConfigurationError: a module cannot be imported; names it and the reason.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            # The module is the user's, so it may raise anything.
            raise ConfigurationError(
                "PYAGENT_ORCH_AGENTS",
                f"cannot import {module!r}: {type(error).__name__}: {error}",
            ) from error
        _known_modules.add(module)


def resolve_function(path: str) -> Callable[..., Any]:
    """Find a function that a message names, if this process may run it.

    Args:
        path: the name of a registered agent, or `module:qualname` of a
            module-level function in a module that `load_agents` loaded or that
            registered something. Nothing is imported, and what a module merely
            imported from elsewhere is not its function.

    Raises:
        AgentNotFoundError: there is no such function here, or it may not be run.
    """
    registered = AGENTS.get(path)
    if registered is not None:
        return registered.call
    function = _function_at(path)
    if function is None:
        raise AgentNotFoundError(path, AGENTS.names())
    return function


def find_tool(name: str) -> Function | None:
    """Find a tool by its registered name or by `module:qualname`, under the same rule."""
    tool = TOOLS.get(name)
    if tool is None and (function := _function_at(name)) is not None:
        tool = Function.of(function)
    return tool


def _function_at(path: str) -> Callable[..., Any] | None:
    module_name, colon, name = path.partition(":")
    if not colon or module_name not in _known_modules:
        return None
    function = getattr(sys.modules.get(module_name), name, None)
    # The identity check keeps out what the module imported: `agents:run` is not subprocess.run.
    if (
        inspect.isfunction(function)
        and function.__module__ == module_name
        and function.__qualname__ == name
    ):
        return function
    return None
