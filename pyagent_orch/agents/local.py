"""Callables that cannot travel, kept in this process for the worker in this process.

The embedded mode's lambdas, closures and bound methods: the wire form holds a
key, and only the process that made the key can run it.
"""

from __future__ import annotations

import inspect
import threading
import uuid
from collections.abc import Callable
from typing import Any

from pyagent_orch.agents.functions import Function, readable_name
from pyagent_orch.exceptions import AgentNotFoundError

_lock = threading.Lock()
_keys: dict[object, str] = {}
_functions: dict[str, Function] = {}


def local_key(call: Callable[..., Any]) -> str:
    """The key of a callable in this process; the same callable has one key.

    The callable is kept for the life of the process, since a task may wait long
    for its run and a retry for its next one. Functions made again and again by
    the same line (a lambda in a loop) that behave the same share one entry.
    """
    identity = _identity(call)
    key = _keys.get(identity)
    if key is None:
        with _lock:
            key = _keys.get(identity)
            if key is None:
                # Random, so that another process never takes it for one of its own.
                key = f"{readable_name(call)}-{uuid.uuid4().hex}"
                _functions[key] = Function.of(call)
                _keys[identity] = key
    return key


def local_function(key: str) -> Function:
    """The callable of a key.

    Raises:
        AgentNotFoundError: the key is of another process, or of one that has ended.
    """
    function = _functions.get(key)
    if function is None:
        raise AgentNotFoundError(key)
    return function


def _identity(call: Callable[..., Any]) -> object:
    """A hashable value that is equal for callables that are the same to a caller.

    Everything named in it by `id` is kept alive by the stored callable.
    """
    if inspect.ismethod(call):
        # Each access to `object.method` makes a new object.
        return (id(call.__self__), call.__func__)
    if inspect.isfunction(call) and not call.__dict__ and not call.__kwdefaults__:
        return (
            # Not by value: equal code on two lines, or in two modules, is not one function.
            id(call.__code__),
            id(call.__globals__),
            tuple(id(cell) for cell in call.__closure__ or ()),
            tuple(id(default) for default in call.__defaults__ or ()),
        )
    return id(call)
