"""Agents: what a task asks to do its work, and how a process runs it.

Above the models and the inputs, below everything that knows Redis or Celery.
`to_wire` turns an agent into JSON at submit, `invoke` runs that JSON on a worker.
No model library is imported before a model is asked.
"""

from pyagent_orch.agents.calls import ModelAdapter, ModelAnswer, register_model
from pyagent_orch.agents.contract import AgentOutcome, AgentWire, Invocation, current_run
from pyagent_orch.agents.registry import (
    is_registered,
    load_agents,
    register_agent,
    register_tool,
    registered_agents,
    resolve_function,
)
from pyagent_orch.agents.runner import call_in_time, cancel_run, invoke
from pyagent_orch.agents.spec import Agent, AgentLimits, agent
from pyagent_orch.agents.wire import to_wire

__all__ = [
    "Agent",
    "AgentLimits",
    "AgentOutcome",
    "AgentWire",
    "Invocation",
    "ModelAdapter",
    "ModelAnswer",
    "agent",
    "call_in_time",
    "cancel_run",
    "current_run",
    "invoke",
    "is_registered",
    "load_agents",
    "register_agent",
    "register_model",
    "register_tool",
    "registered_agents",
    "resolve_function",
    "to_wire",
]
