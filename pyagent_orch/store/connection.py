"""Connections to Redis: addresses, time-outs, and errors that name no secret."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pyagent_orch.exceptions import ConfigurationError, OrchestratorConnectionError

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

SCHEMES = ("redis", "rediss", "unix", "redis+socket")


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, in the words of both libraries. The repr holds no password."""

    label: str
    """Host and port, or the socket's path: for people."""
    _client_url: str
    _broker_url: str

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket file, not a host and port."""
        return self._client_url.startswith("unix")

    @property
    def client_url(self) -> str:
        """For redis-py. May hold a password."""
        return self._client_url

    @property
    def broker_url(self) -> str:
        """For kombu and Celery. May hold a password."""
        return self._broker_url

    def __repr__(self) -> str:
        return f"Address({self.label!r})"


def parse_address(url: str) -> Address:
    """Read a Redis URL.

    Args:
        url: `redis://[user:password@]host[:port][/db]`, `rediss://...` for TLS,
            `unix:///path?db=0` or `redis+socket:///path?virtual_host=0`.

    Raises:
        ConfigurationError: it is none of these; the text does not show the URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("redis_url", "its host is no valid address") from None
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            "redis_url",
            f"scheme {parts.scheme or '(none)'!r} is not one of {', '.join(SCHEMES)}; "
            "for example redis://localhost:6379/0",
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme in ("unix", "redis+socket"):
        if not parts.path:
            raise ConfigurationError(
                "redis_url", "a socket URL needs a path: unix:///run/redis.sock"
            )
        db = query.pop("virtual_host", query.pop("db", "0"))
        credentials, at, _ = parts.netloc.rpartition("@")
        client = f"unix://{credentials}{at}{parts.path}?{urlencode({'db': db, **query})}"
        broker = (
            f"redis+socket://{credentials}{at}{parts.path}?"
            f"{urlencode({'virtual_host': db, **query})}"
        )
        return _checked(Address(parts.path, client, broker))
    try:
        port = parts.port or 6379
    except ValueError:
        raise ConfigurationError("redis_url", "its port is no number from 1 to 65535") from None
    database = parts.path.strip("/")
    if database and not database.isdigit():
        # Not shown: behind a "/" in a password that is not quoted stands its rest.
        raise ConfigurationError(
            "redis_url", "its database is no number (a '/' in a password is written %2F)"
        )
    return _checked(Address(f"{parts.hostname or 'localhost'}:{port}", url, url))


def _checked(address: Address) -> Address:
    """Have the client library read the URL's options now instead of at the first call."""
    try:
        pool = redis.ConnectionPool.from_url(address.client_url)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError):
        # The library's text may show the value.
        raise ConfigurationError(
            "redis_url", "an option behind its '?' is unknown or has a wrong value"
        ) from None
    return address


def connect(
    address: Address, *, connect_timeout: float, socket_timeout: float, retries: int = 1
) -> redis.Redis:
    """Make a client; no connection is opened yet.

    The client is safe to share between threads, and after a fork each process
    opens its own connections. One lost connection is mended at once; what takes
    longer is the caller's decision, so that a submit never hangs.
    """
    return redis.Redis.from_url(
        address.client_url,
        decode_responses=True,
        socket_connect_timeout=connect_timeout,
        socket_timeout=socket_timeout,
        # A socket file has no network to keep alive.
        **({} if address.is_socket else {"socket_keepalive": True}),
        retry=Retry(NoBackoff(), retries, supported_errors=(redis.exceptions.ConnectionError,)),
        health_check_interval=30,
    )


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
