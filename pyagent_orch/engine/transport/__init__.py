"""Our Redis transport for kombu: its own, with three differences.

Messages are checked before Celery sees them (`checks`); a worker takes many of
them in one act that also makes them safe, and acknowledges in groups (`taker`);
it sleeps until a bell rings, and not on the queues (`channel`). Key
layout, priorities, fanout, TLS and Sentinel are kombu's, so that workers on
either transport can share a queue. Knows no record but by the store's acts.
"""

from pyagent_orch.engine.transport.channel import Channel, SentinelChannel
from pyagent_orch.engine.transport.checks import damage
from pyagent_orch.engine.transport.taker import Taker
from pyagent_orch.engine.transport.transports import SentinelTransport, Transport

__all__ = ["Channel", "SentinelChannel", "SentinelTransport", "Taker", "Transport", "damage"]
