"""Turning an agent into what crosses the wire, and back into what can be run.

Called on every submit, so everything is found out once per object.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError

from pyagent_orch.agents.contract import AgentWire
from pyagent_orch.agents.functions import readable_name
from pyagent_orch.agents.local import local_key
from pyagent_orch.agents.registry import AGENTS
from pyagent_orch.agents.spec import LOCAL_TOOL, Agent, plain_problem, wire_of
from pyagent_orch.exceptions import AgentError, AgentNotPortableError


@dataclass(frozen=True, slots=True)
class CallableRef:
    """A callable named by the wire: a registered name or `module:qualname`."""

    name: str


@dataclass(frozen=True, slots=True)
class LocalRef:
    """A callable that only the process that made the key has."""

    key: str


def to_wire(agent: object, *, local: bool) -> AgentWire:
    """How an agent crosses the wire.

    Args:
        agent: an `Agent`, a registered callable, the name of one, or with `local`
            any callable: a lambda, a bound method, a partial, an object with `__call__`.
        local: whether the worker is in this process (the embedded mode).

    Raises:
        AgentNotPortableError: it would have to run in another process and cannot be
            found there; says what to do.
        AgentError: it is nothing that can be an agent.
    """
    if isinstance(agent, Agent):
        if not local and any(tool.startswith(LOCAL_TOOL) for tool in agent.tools):
            raise AgentNotPortableError(
                agent.name,
                "one of its tools is a function inside another one, which workers in other "
                "processes cannot find; decorate a module-level function with @register_tool in "
                "a module that PYAGENT_ORCH_AGENTS names",
            )
        return agent.wire
    if isinstance(agent, str):
        return _callable_wire(agent)
    name = AGENTS.name_of(agent)
    if name is not None:
        return _callable_wire(name)
    if not callable(agent):
        raise AgentError(
            type(agent).__name__,
            f"an object of type {type(agent).__name__} is no agent; give agent('instructions'), "
            "a function, or the name of a registered agent",
        )
    if local:
        return _local_wire(local_key(agent), readable_name(agent))
    raise AgentNotPortableError(
        readable_name(agent),
        "this callable cannot travel to workers in other processes, since nothing executable is "
        "ever sent; decorate it with @register_agent in a module that PYAGENT_ORCH_AGENTS names",
    )


@lru_cache(maxsize=4096)
def _callable_wire(name: str) -> AgentWire:
    return wire_of({"kind": "callable", "name": name}, name.rpartition(":")[2])


@lru_cache(maxsize=4096)
def _local_wire(key: str, name: str) -> AgentWire:
    return wire_of({"kind": "local", "key": key}, name)


@lru_cache(maxsize=512)
def from_wire(wire_json: str) -> Agent | CallableRef | LocalRef:
    """Read what `to_wire` wrote; cached, since many tasks share an agent.

    Raises:
        AgentError: it is not what this release can read; the reason is in the text.
    """
    try:
        content = json.loads(wire_json)
        match content:
            case {"kind": "model", "spec": dict(spec)}:
                return Agent.model_validate(spec)
            case {"kind": "callable", "name": str(name)}:
                return CallableRef(name)
            case {"kind": "local", "key": str(key)}:
                return LocalRef(key)
    except ValidationError as error:
        raise AgentError(_name_in(content), f"its stored form: {plain_problem(error)}") from None
    except ValueError as error:
        raise AgentError("?", f"its stored form is not JSON: {error}") from None
    raise AgentError("?", "its stored form is of a kind that this release does not know")


def _name_in(content: object) -> str:
    match content:
        case {"spec": {"name": str(name)}}:
            return name
    return "?"
