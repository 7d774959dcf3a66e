"""Where Redis is: reading its URL, in the words of redis-py, kombu and Celery.

Of the room that knows redis. Opens no connection, and shows no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import redis

from pyagent_orch.exceptions import ConfigurationError

SCHEMES = ("redis", "rediss", "unix", "redis+socket", "sentinel")
SENTINEL_PORT = 26_379
_TLS = {
    "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile",
    "ssl_check_hostname",
}  # fmt: skip
_CHECKS = {"required": "required", "optional": "optional", "none": "none"}
# Celery's and kombu's words for the same.
_CHECKS |= {f"cert_{word}": word for word in tuple(_CHECKS)}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, in the words of all libraries. The repr holds no password."""

    label: str
    """Host and port, the socket's path, or the name of the master: for people."""
    _client_url: str
    _broker_url: str
    tls: Mapping[str, object] | None = None
    """redis-py's and kombu's options of TLS; None: no TLS."""
    master: str | None = None
    """The name that Sentinel knows the master by; None: no Sentinel."""
    sentinels: tuple[tuple[str, int], ...] = ()
    """Hosts and ports of the Sentinels."""
    login: Mapping[str, object] = field(default_factory=dict)
    """With Sentinel: the master's `username`, `password` and `db`."""
    sentinel_login: Mapping[str, object] = field(default_factory=dict)
    """The `username` and `password` of the Sentinels themselves, if they want one."""

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket file, not a host and port."""
        return self._client_url.startswith("unix")

    @property
    def is_exposed(self) -> bool:
        """Whether it is on another machine, by its name, and wants nothing to know us by: neither
        a password nor a certificate of ours.
        """
        if self.is_socket or (self.tls is not None and "ssl_certfile" in self.tls):
            return False
        if self.master is not None:
            hosts, password = [host for host, _ in self.sentinels], self.login.get("password")
        else:
            place, query = _place(self._client_url), _query(self._client_url)
            hosts, password = [place.host or "localhost"], place.password or query.get("password")
        return not password and not all(map(_is_loopback, hosts))

    @property
    def client_url(self) -> str:
        """For redis-py, unless there is a `master`. May hold a password."""
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
            `unix:///path?db=0` or `redis+socket:///path?virtual_host=0`, or
            `sentinel://host[:port][;sentinel://host[:port] ...][/db]?master=name`. TLS takes the
            options `ssl_cert_reqs` (`required`, `optional`, `none`), `ssl_ca_certs`,
            `ssl_certfile`, `ssl_keyfile` and `ssl_check_hostname`; for Sentinel it is switched
            on by `ssl=true`.

    Raises:
        ConfigurationError: it is none of these; the text does not show the URL.
    """
    scheme = url.partition(":")[0] if "://" in url else ""
    if scheme not in SCHEMES:
        raise ConfigurationError(
            "redis_url",
            f"scheme {scheme or '(none)'!r} is not one of {', '.join(SCHEMES)}; "
            "for example redis://localhost:6379/0",
        )
    if scheme == "sentinel":
        return _checked(_by_sentinel(url))
    if scheme in ("unix", "redis+socket"):
        return _checked(_by_socket(url))
    place, query = _place(url), _query(url)
    tls = _tls(query) if scheme == "rediss" else None
    rest = f"?{urlencode(query)}" if query else ""
    bare = url.partition("?")[0] + rest
    return _checked(Address(f"{place.host or 'localhost'}:{place.port or 6379}", bare, bare, tls))


@dataclass(frozen=True, slots=True)
class _Place:
    host: str | None
    port: int | None
    database: str
    username: str | None
    password: str | None


def _is_loopback(host: str) -> bool:
    """Whether a host is this one, as far as its name tells; nothing is looked up."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _place(url: str) -> _Place:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("redis_url", "its host is no valid address") from None
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError("redis_url", "its port is no number from 1 to 65535") from None
    database = parts.path.strip("/")
    if database and not database.isdigit():
        # Not shown: behind a "/" in a password that is not quoted stands its rest.
        raise ConfigurationError(
            "redis_url", "its database is no number (a '/' in a password is written %2F)"
        )
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return _Place(parts.hostname, port, database, username, password)


def _query(url: str) -> dict[str, str]:
    text = url.partition("?")[2]
    return {name: values[-1] for name, values in parse_qs(text).items()}


def _by_socket(url: str) -> Address:
    parts = urlsplit(url)
    query = _query(url)
    if not parts.path:
        raise ConfigurationError("redis_url", "a socket URL needs a path: unix:///run/redis.sock")
    db = query.pop("virtual_host", query.pop("db", "0"))
    credentials, at, _ = parts.netloc.rpartition("@")
    client = f"unix://{credentials}{at}{parts.path}?{urlencode({'db': db, **query})}"
    broker = (
        f"redis+socket://{credentials}{at}{parts.path}?{urlencode({'virtual_host': db, **query})}"
    )
    return Address(parts.path, client, broker)


def _by_sentinel(url: str) -> Address:
    """One URL for each Sentinel, as kombu spells it; options stand behind the last one."""
    body, _, _ = url.partition("?")
    # Also `sentinel://a:1,b:2`, as some tools write it, and parts without a scheme.
    pieces = [piece.strip() for piece in body.replace(",", ";").split(";") if piece.strip()]
    places = [_place(p if "://" in p else f"sentinel://{p}") for p in pieces]
    query = _query(url)
    master = query.pop("master", None) or query.pop("master_name", None)
    if not master:
        raise ConfigurationError(
            "redis_url",
            "a sentinel:// URL names the master: sentinel://host:26379/0?master=mymaster",
        )
    tls = _tls(query) if query.pop("ssl", "").lower() in ("true", "1", "yes") else None
    sentinel_login = {
        name: query.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }
    if query:
        raise ConfigurationError(
            "redis_url", "an option behind its '?' is unknown or has a wrong value"
        )
    known = [place for place in places if place.password or place.username]
    username, password = (known[0].username, known[0].password) if known else (None, None)
    database = next((place.database for place in reversed(places) if place.database), "0")
    sentinels = tuple((p.host or "localhost", p.port or SENTINEL_PORT) for p in places)
    login = {"username": username, "password": password, "db": int(database)}
    secret = f"{quote(username or '', safe='')}:{quote(password, safe='')}@" if password else ""
    # kombu goes on to the next URL when one fails, and takes the login from there.
    broker = ";".join(f"sentinel://{secret}{host}:{port}/{database}" for host, port in sentinels)
    told = ", ".join(f"{host}:{port}" for host, port in sentinels)
    return Address(
        f"{master!r} of the Sentinels {told}", url, broker, tls, master, sentinels,
        {name: value for name, value in login.items() if value is not None}, sentinel_login,
    )  # fmt: skip


def _tls(query: dict[str, str]) -> dict[str, object]:
    """Take the options of TLS out of a query."""
    options: dict[str, object] = {name: query.pop(name) for name in _TLS & query.keys()}
    wanted = str(options.get("ssl_cert_reqs", "required")).lower()
    if wanted not in _CHECKS:
        raise ConfigurationError(
            "redis_url", "its ssl_cert_reqs is not one of required, optional, none"
        )
    options["ssl_cert_reqs"] = _CHECKS[wanted]
    checked = str(options.get("ssl_check_hostname", "true")).lower() not in ("false", "0", "no")
    # Whose certificate is not looked at has no name to compare.
    options["ssl_check_hostname"] = checked and options["ssl_cert_reqs"] != "none"
    return options


def _checked(address: Address) -> Address:
    """Have the client library read the URL's options now instead of at the first call."""
    if address.master is not None:
        return address
    try:
        pool = redis.ConnectionPool.from_url(address.client_url, **(address.tls or {}))
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError):
        # The library's text may show the value.
        raise ConfigurationError(
            "redis_url", "an option behind its '?' is unknown or has a wrong value"
        ) from None
    return address
