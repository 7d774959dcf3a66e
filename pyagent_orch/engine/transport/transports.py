"""What `create_app` names as its broker transports, with and without Sentinel."""

from __future__ import annotations

from kombu.transport import redis as kombu_redis

from pyagent_orch.engine.transport.channel import Channel, SentinelChannel


class Transport(kombu_redis.Transport):
    """The transport of `create_app`."""

    Channel = Channel


class SentinelTransport(Transport):
    """The transport of `create_app` for `sentinel://`."""

    default_port = kombu_redis.SentinelTransport.default_port  # type: ignore[assignment] # kombu: None
    Channel = SentinelChannel
