"""What Redis remembers: records, agents, leases and the event stream.

The only room that knows redis. Every change of state is one Lua act in
`scripts/`; the Python here calls the acts and reads what they wrote.
"""

from pyagent_orch.store.acts import ActConstants, MessageTemplate
from pyagent_orch.store.address import Address, parse_address
from pyagent_orch.store.connection import RedisError, is_missing_group, is_outage, sentinel_options
from pyagent_orch.store.store import Store

__all__ = [
    "ActConstants",
    "Address",
    "MessageTemplate",
    "RedisError",
    "Store",
    "is_missing_group",
    "is_outage",
    "parse_address",
    "sentinel_options",
]
