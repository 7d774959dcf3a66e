"""Connections to Redis: time-outs, and errors that name no secret."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.store.address import Address

_WAKE_SECONDS = 0.02
"""Between two calls that wake a reader."""


class BlockingClient:
    """A connection of its own for reads that block, which another thread can wake.

    Args:
        client: for this use only.
        waker: a client to wake it through.
    """

    def __init__(self, client: redis.Redis, waker: redis.Redis) -> None:
        self.redis, self._waker = client, waker
        self._id: int | None = None

    def ready(self) -> None:
        """Open the connection and learn its id, so that `wake` finds it; before each read."""
        if self._id is None:
            self._id = int(self.redis.client_id())

    def lost(self) -> None:
        """Note that the connection broke; the next one has another id."""
        self._id = None

    def wake(self) -> None:
        """End a read that blocks; from any thread. No harm when none does."""
        if self._id is not None:
            with suppress(RedisError, OSError):
                self._waker.client_unblock(self._id)

    def join(self, reader: threading.Thread, timeout: float) -> None:
        """Wait for the thread that reads here and has been told to stop.

        It is woken until it is gone, since it may be about to block just now.

        Args:
            reader: the thread.
            timeout: seconds, about.
        """
        deadline = time.monotonic() + timeout
        while reader.is_alive() and time.monotonic() < deadline:
            self.wake()
            reader.join(_WAKE_SECONDS)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self.redis.close()


class HeldConnections:
    """Connections that are kept between two commands. Safe to share between threads.

    What redis-py does around a command costs more than the command: handing a connection out
    and taking it back, its statistics, and looking at each argument. After a fork each
    process opens its own.

    Args:
        client: whose pool they are of.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._idle: tuple[int, list[redis.Redis]] = (os.getpid(), [])

    def begin(self, *command: str | float) -> Callable[[], Any]:
        """Send a command over a connection that nobody uses just now.

        Returns:
            Reads its answer; to be called once, or never.
        """
        pid, idle = self._idle
        if pid != os.getpid():
            idle = []
            self._idle = (os.getpid(), idle)
        held = idle.pop() if idle else self._client.client()
        connection: Any = held.connection
        try:
            # Its stub knows tuples of one part only.
            packed = hiredis.pack_command(command)  # type: ignore[arg-type]
            connection.send_packed_command([packed])
        except redis.exceptions.ConnectionError:
            _drop(held)
            # One lost connection is mended at once, as `connect` has it.
            return partial(self._client.execute_command, *command)
        except BaseException:
            _drop(held)
            raise
        return partial(self._answer, held, command, idle)

    def _answer(
        self, held: redis.Redis, command: tuple[str | float, ...], idle: list[redis.Redis]
    ) -> Any:
        connection: Any = held.connection
        try:
            reply = connection.read_response()
        except redis.exceptions.ResponseError:
            idle.append(held)
            raise
        except redis.exceptions.ConnectionError:
            _drop(held)
            return self._client.execute_command(*command)
        except BaseException:
            _drop(held)
            raise
        idle.append(held)
        return reply

    def close(self) -> None:
        """Give the connections back to the pool. Idempotent."""
        pid, idle = self._idle
        while idle and pid == os.getpid():
            idle.pop().close()


def _drop(held: redis.Redis) -> None:
    """Give a broken connection back to its pool, which knows where to connect it (Sentinel).

    An answer that may still come must not be taken for that of another command.
    """
    if held.connection is not None:
        held.connection.disconnect()
    held.close()


RedisError = redis.exceptions.RedisError
"""The root of what the client library raises; for rooms that must not know it."""

_PASSING = (
    # With its blank: BUSYGROUP is something else.
    *("OOM", "LOADING", "READONLY", "MISCONF", "BUSY ", "TRYAGAIN", "CLUSTERDOWN"),
    *("NOREPLICAS", "UNBLOCKED"),
)
"""How errors begin that pass: full, loading, failing over."""
_PASSING_CLASSES = (
    # For these the library has taken the beginning away.
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
)


def connect(
    address: Address, *, connect_timeout: float, socket_timeout: float, retries: int = 1
) -> redis.Redis:
    """Make a client; no connection is opened yet.

    The client is safe to share between threads, and after a fork each process
    opens its own connections. One lost connection is mended at once; what takes
    longer is the caller's decision, so that a submit never hangs.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": socket_timeout,
        # A socket file has no network to keep alive.
        **({} if address.is_socket else {"socket_keepalive": True}),
        **(address.tls or {}),
        "retry": Retry(NoBackoff(), retries, supported_errors=(redis.exceptions.ConnectionError,)),
        "health_check_interval": 30,
    }
    if address.master is None:
        return redis.Redis.from_url(address.client_url, **options)
    login = sentinel_options(
        address, connect_timeout=connect_timeout, socket_timeout=socket_timeout
    )
    sentinel = Sentinel(address.sentinels, sentinel_kwargs=login)
    if address.tls is not None:
        options["ssl"] = True
    client: redis.Redis = sentinel.master_for(address.master, **options, **address.login)
    return client


def sentinel_options(
    address: Address, *, connect_timeout: float, socket_timeout: float
) -> dict[str, Any]:
    """How to talk to the Sentinels themselves (redis-py's and kombu's `sentinel_kwargs`)."""
    return {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": socket_timeout,
        # There is another Sentinel to ask; the library's own retries take eight seconds.
        "retry": Retry(NoBackoff(), 0),
        **({"ssl": True, **address.tls} if address.tls is not None else {}),
        **address.sentinel_login,
    }


def is_outage(error: BaseException) -> bool:
    """Whether Redis is out of reach, or refuses for a while (full, loading, failing over).

    Whoever may repeat a call should do so on such an error, and only on such.
    """
    if isinstance(error, redis.exceptions.AuthenticationError):
        return False
    if isinstance(error, _PASSING_CLASSES):
        return True
    if isinstance(error, redis.exceptions.ResponseError):
        # In a pipeline the library puts the command in front.
        return str(error).rpartition("caused error: ")[2].startswith(_PASSING)
    return isinstance(
        error, redis.exceptions.ConnectionError | redis.exceptions.TimeoutError | OSError
    )


def is_missing_script(error: BaseException) -> bool:
    """Whether Redis does not know the act that was called by its hash."""
    return isinstance(error, redis.exceptions.NoScriptError)


def is_missing_group(error: BaseException) -> bool:
    """Whether Redis does not know the consumer group that was asked for."""
    return isinstance(error, redis.exceptions.ResponseError) and str(error).startswith("NOGROUP")


@contextmanager
def named_errors(label: str) -> Iterator[None]:
    """Turn the library's connection errors into ours, which name the place and no secret."""
    try:
        yield
    except redis.exceptions.AuthenticationError as error:
        raise OrchestratorConnectionError(label, f"it refuses the login ({error})") from None
    except redis.exceptions.TimeoutError as error:
        raise OrchestratorConnectionError(label, f"no answer in time ({error})") from None
    except (redis.exceptions.ConnectionError, OSError) as error:
        raise OrchestratorConnectionError(label, str(error) or type(error).__name__) from None
    except redis.exceptions.ResponseError as error:
        if is_outage(error) or isinstance(error, redis.exceptions.NoPermissionError):
            raise OrchestratorConnectionError(label, f"it refuses: {error}") from None
        raise
