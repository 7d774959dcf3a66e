"""Who follows the event stream: for live tasks and handlers, and for durable handlers."""

from pyagent_orch.listener.durable import DurableHandler
from pyagent_orch.listener.follower import Listener

__all__ = ["DurableHandler", "Listener"]
