"""What Redis remembers: records, agents, leases and the event stream.

The only room that knows redis. Every change of state is one Lua act in
`scripts/`; the Python here calls the acts and reads what they wrote.
"""

from pyagent_orch.store.acts import CLAIM_FIELDS, ActConstants, MessageTemplate
from pyagent_orch.store.address import Address, parse_address
from pyagent_orch.store.connection import (
    RedisError,
    is_missing_group,
    is_missing_script,
    is_outage,
    sentinel_options,
)
from pyagent_orch.store.lua import read_acts
from pyagent_orch.store.queues import Queues, Taken, TakenTask
from pyagent_orch.store.store import Store, delivery_limits

__all__ = [
    "CLAIM_FIELDS",
    "ActConstants",
    "Address",
    "MessageTemplate",
    "Queues",
    "RedisError",
    "Store",
    "Taken",
    "TakenTask",
    "delivery_limits",
    "is_missing_group",
    "is_missing_script",
    "is_outage",
    "parse_address",
    "read_acts",
    "sentinel_options",
]
