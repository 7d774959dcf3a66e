"""Facts about the Redis server itself: what it is, how it is set, what it lets us do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import redis

from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.inspect.access import bound_to, is_local, lets_anyone_in, stranger_to
from pyagent_orch.store.keys import Keys

_SETTINGS = ("appendfsync", "bind", "protected-mode", "save")
"""What INFO does not tell; managed servers often refuse to say it."""
_CLOCK_PROBES = 5
_WRITE = (
    "for _, key in ipairs(KEYS) do redis.call('SET', key, '1', 'PX', 1000) "
    "redis.call('DEL', key) end return redis.call('INFO', 'server') and 1"
)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself and of us."""

    label: str
    """Host and port, or the socket's path."""
    is_local: bool
    """Whether it is reached by a socket file or a loopback address."""
    is_encrypted: bool
    """Whether the connection is TLS."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """All of INFO; empty when it is refused."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """`appendfsync`, `bind`, `protected-mode` and `save`; empty when it does not say."""
    clock_skew_seconds: float = 0.0
    """How far its clock is ahead of the one here; negative: behind."""
    round_trip_seconds: float = 0.0
    """How long the fastest of a few calls took; the skew is known to half of this."""
    user: str = ""
    """The ACL user that we are; empty when it does not say."""
    lets_anyone_in: bool | None = None
    """Whether it takes commands without a password; None when that could not be tried."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Maps a command that our user may not run to the server's words."""
    write_problem: str = ""
    """Why it does not write, in its own words; empty when it does."""

    @property
    def bound_to(self) -> str:
        """The addresses at which other machines reach it, for people; empty: there are none."""
        return bound_to(self.settings, self.info.get("tcp_port"))


def look_at_server(client: redis.Redis, label: str, keys: Keys, queue: str) -> ServerFacts:
    """Collect the facts.

    Args:
        client: a client of the server.
        label: where it is, for people.
        keys: of the namespace whose keys are written to.
        queue: the name of one that is looked into.

    Raises:
        OrchestratorConnectionError: it is out of reach, or refuses the login.
    """
    with named_errors(label):
        refused: dict[str, str] = {}

        def ask(command: str, act: Callable[[], Any], otherwise: Any) -> Any:
            try:
                return act()
            except redis.exceptions.NoPermissionError as error:
                refused[command] = str(error)
            except redis.exceptions.ResponseError:
                # A managed server that hides it, or one that is too old.
                pass
            return otherwise

        # First, and not a PING, which a server with a broken disk refuses.
        skew, round_trip = _clock(client)
        info = ask("INFO", client.info, {})
        settings = ask("CONFIG GET", lambda: client.config_get(*_SETTINGS), {})
        # To know it is a comfort; to work without it no loss.
        refused.pop("CONFIG GET", None)
        user = ask("ACL WHOAMI", client.acl_whoami, "")
        refused.pop("ACL WHOAMI", None)
        problem = _probe(client, keys, queue, refused)
        stranger = stranger_to(client)
    return ServerFacts(
        label=label,
        is_local=is_local(stranger),
        is_encrypted=issubclass(stranger.connection_class, redis.SSLConnection),
        info=info,
        settings={name: str(value) for name, value in settings.items()},
        clock_skew_seconds=skew,
        round_trip_seconds=round_trip,
        user=str(user),
        lets_anyone_in=lets_anyone_in(stranger),
        refused=refused,
        write_problem=problem,
    )


def _clock(client: redis.Redis) -> tuple[float, float]:
    """The skew by the fastest of a few calls, and how long that one took."""
    best: tuple[float, float] | None = None
    for _ in range(_CLOCK_PROBES):
        before, began = time.time(), time.monotonic()
        seconds, micros = client.time()
        took = time.monotonic() - began
        if best is None or took < best[1]:
            best = int(seconds) + int(micros) / 1e6 - (before + took / 2), took
    assert best is not None
    return best


def _probe(client: redis.Redis, keys: Keys, queue: str, refused: dict[str, str]) -> str:
    """Try what clients and workers do, harmlessly; returns why it does not write."""
    probe = f"doctor:{uuid4().hex[:8]}"
    ours, celerys = keys.prefix + probe, keys.result(probe)
    pipe = client.pipeline(transaction=True)
    pipe.exists(ours)
    commands: dict[str, Callable[[], object]] = {
        "SCRIPT LOAD": lambda: client.script_load(_WRITE),
        "EVALSHA": lambda: client.register_script(_WRITE)(keys=[ours]),
        "EVALSHA (keys of results)": lambda: client.register_script(_WRITE)(keys=[celerys]),
        "XREAD": lambda: client.xread({keys.events: "0-0"}, count=1),
        "XINFO": lambda: client.xinfo_groups(keys.events),
        "ZRANGE": lambda: client.zrange(keys.workers, 0, 0),
        "HGETALL": lambda: client.hgetall(keys.task(probe)),
        "LLEN": lambda: client.llen(keys.celery_prefix + queue),
        "PUBLISH": lambda: client.publish(celerys, ""),
        "CLIENT UNBLOCK": lambda: client.client_unblock(0),
        "MULTI": pipe.execute,
    }
    problem = ""
    for command, act in commands.items():
        try:
            act()
        except redis.exceptions.NoPermissionError as error:
            refused[command] = str(error)
        except redis.exceptions.ResponseError as error:
            # In a script a missing permission has no class of its own.
            if "permission" in str(error).lower():
                refused[command] = str(error)
            elif command.startswith("EVAL"):
                problem = problem or str(error)
    return problem
