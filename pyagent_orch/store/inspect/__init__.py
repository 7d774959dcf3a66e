"""What a live installation looks like from its Redis: raw facts, no judgement.

Part of the store, since only the store knows redis; `doctor` judges. Reading
changes nothing but for one probe: a key that is written, deleted, and expires.
"""

from pyagent_orch.store.inspect.facts import (
    ExpirySample,
    GroupFacts,
    NamespaceFacts,
    QueueFacts,
    RunningFacts,
    WaitingAgent,
    WorkerFacts,
)
from pyagent_orch.store.inspect.namespace import look_at_namespace
from pyagent_orch.store.inspect.server import ServerFacts, look_at_server

__all__ = [
    "ExpirySample",
    "GroupFacts",
    "NamespaceFacts",
    "QueueFacts",
    "RunningFacts",
    "ServerFacts",
    "WaitingAgent",
    "WorkerFacts",
    "look_at_namespace",
    "look_at_server",
]
