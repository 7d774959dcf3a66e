"""Who gets into the Redis server without a password, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from ipaddress import ip_address
from socket import AF_UNSPEC, SOCK_STREAM, getaddrinfo

import redis
from redis.sentinel import SentinelConnectionPool

from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.store.address import Address
from pyagent_orch.store.connection import connect, named_errors

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def open_door(address: Address, *, connect_timeout: float, socket_timeout: float) -> str:
    """Where strangers get into the server, as far as can be told from here.

    Opens a connection of its own, and closes it. A server that is out of reach or says nothing of
    itself is taken for closed: the caller has better means to find that out.

    Args:
        address: where it is; a stranger does without its password.
        connect_timeout: seconds.
        socket_timeout: seconds.

    Returns:
        The addresses, for people; empty when there is no such door.
    """
    client = connect(
        address, connect_timeout=connect_timeout, socket_timeout=socket_timeout, retries=0
    )
    try:
        with named_errors(address.label), closing(client):
            if not lets_anyone_in(stranger_to(client)):
                return ""
            port = client.info("server").get("tcp_port")
            settings = client.config_get("bind", "protected-mode")
            return bound_to({str(name): str(value) for name, value in settings.items()}, port)
    except (OrchestratorConnectionError, redis.exceptions.RedisError):
        return ""


def bound_to(settings: Mapping[str, str], port: object) -> str:
    """The addresses at which a server that wants no password serves other machines.

    Args:
        settings: its `bind` and `protected-mode`; empty when it does not say.
        port: its TCP port; 0: it has none.

    Returns:
        For people; empty when only its own machine is served, or nothing is known.
    """
    if not settings or port == 0:
        return ""
    # Protected mode refuses all but loopback as long as there is no password.
    if settings.get("protected-mode") == "yes":
        return ""
    bound = settings.get("bind", "").replace("-", "").split()
    if not bound:
        return "every address"
    return " ".join(bound) if set(bound) - _LOOPBACK else ""


def stranger_to(client: redis.Redis) -> redis.ConnectionPool:
    """Connections to the same server, without a login."""
    pool = client.connection_pool
    without = {"username", "password", "credential_provider", "connection_pool"}
    options = {name: value for name, value in pool.connection_kwargs.items() if name not in without}
    kind = pool.connection_class
    if isinstance(pool, SentinelConnectionPool):
        # These connections ask their pool for the primary's address; ours shall have it.
        options["host"], options["port"] = pool.get_master_address()
        encrypted = issubclass(kind, redis.SSLConnection)
        kind = redis.SSLConnection if encrypted else redis.Connection
    return redis.ConnectionPool(connection_class=kind, **options)


def is_local(pool: redis.ConnectionPool) -> bool:
    """Whether it is a socket file, or a host that is this one by every address it has."""
    options = pool.connection_kwargs
    if "path" in options:
        return True
    try:
        found = getaddrinfo(str(options.get("host", "localhost")), None, AF_UNSPEC, SOCK_STREAM)
    except OSError:
        return False
    return all(ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


def lets_anyone_in(pool: redis.ConnectionPool) -> bool | None:
    """Knock without a password."""
    stranger = redis.Redis(connection_pool=pool)
    try:
        stranger.ping()
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):
        # Or its default user may connect and do nothing.
        return False
    except (redis.exceptions.RedisError, OSError):
        return None
    finally:
        stranger.close()
        pool.disconnect()
    return True
