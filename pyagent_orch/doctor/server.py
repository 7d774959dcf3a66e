"""The checks about the Redis server. Pure: facts in, verdicts out."""

from __future__ import annotations

import re

from pyagent_orch.doctor.finding import Case, Verdict, error, fine, size, span, warning

OLDEST = (6, 2)
"""The oldest release with all commands that are used."""
FULL, NEARLY_FULL = 0.95, 0.80
"""Shares of the memory, or of the connections, that may be used."""
SLOW_SECONDS = 0.05
SKEW_WARNING, SKEW_ERROR = 1.0, 30.0
"""Seconds."""
_NO_INFO = (
    "INFO is refused, so this cannot be told",
    "let the user of the URL run INFO: ACL SETUSER <user> +info",
)


def version(case: Case) -> Verdict:
    """Whether the release has what is used."""
    info = case.server.info
    if not info:
        return warning(*_NO_INFO)
    # Valkey, and others that speak as Redis 7.2 do, have a release of their own.
    name = str(info.get("server_name", "redis")).capitalize()
    release = str(info.get("valkey_version") or info.get("redis_version"))
    numbers = tuple(map(int, re.findall(r"\d+", str(info.get("redis_version")))[:2]))
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return error(
            f"{name} {release} is too old", f"upgrade to Redis {wanted} or newer, or to Valkey"
        )
    return fine(f"{name} {release}")


def role(case: Case) -> Verdict:
    """Whether it is a primary, and no cluster."""
    info = case.server.info
    if not info:
        return warning(*_NO_INFO)
    if info.get("cluster_enabled"):
        return error(
            "the server is part of a Redis Cluster; acts touch many keys at once, which a "
            "cluster refuses",
            "use a single server, or Sentinel, with cluster-enabled no",
        )
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        return error(
            f"the server is a replica of {primary}; nothing can be written to it",
            "point PYAGENT_ORCH_REDIS_URL at the primary",
        )
    replicas = info.get("connected_slaves", 0)
    return fine(f"primary, {replicas} connected replicas")


def writable(case: Case) -> Verdict:
    """Whether it writes now."""
    problem = case.server.write_problem
    if not problem:
        return fine("a key was written and deleted")
    remedy = "see the server's log"
    for sign, better in (
        ("maxmemory", "raise maxmemory, or delete what is not needed"),
        ("OOM", "raise maxmemory, or delete what is not needed"),
        ("MISCONF", "make room on the server's disk and see its log; it writes again by itself"),
        ("READONLY", "point PYAGENT_ORCH_REDIS_URL at the primary"),
        ("read only", "point PYAGENT_ORCH_REDIS_URL at the primary"),
        ("NOREPLICAS", "start the replicas, or lower min-replicas-to-write"),
    ):
        if sign in problem:
            remedy = better
            break
    return error(f"the server refuses to write: {problem}", remedy)


def permissions(case: Case) -> Verdict:
    """Whether our user may do what clients and workers do."""
    refused, user = case.server.refused, case.server.user or "?"
    if refused:
        commands = ", ".join(sorted(refused))
        return error(
            f"user {user!r} may not run {commands} here",
            f"ACL SETUSER {user} on the server, with the commands, keys and channels of the rule "
            "in docs/reliability.md (the doctor runs as the worker)",
        )
    return fine(f"user {user!r} may do all that is needed")


def access(case: Case) -> Verdict:
    """Whether strangers get in."""
    server = case.server
    if case.embedded:
        return fine("a private socket file, for this user only")
    if server.lets_anyone_in is None:
        return fine("could not be tried")
    if not server.lets_anyone_in:
        if not server.is_local and not server.is_encrypted:
            return warning(
                f"the password and all data cross the network to {server.label} in clear text",
                "use TLS (a rediss:// URL), unless the network itself is private",
            )
        return fine("a password is needed")
    if server.is_local and not server.bound_to:
        return fine("no password is needed, and only this machine is served")
    bound = f", bound to {server.bound_to}" if server.bound_to else ""
    return error(
        "whoever reaches the server gets in without a password, and could run agents, read all "
        f"outputs and delete everything ({server.label}{bound})",
        "set requirepass or ACL users, put the password into PYAGENT_ORCH_REDIS_URL, and bind the "
        "server to a private address",
    )


def eviction(case: Case) -> Verdict:
    """Whether records are thrown away when the memory is full."""
    if not case.server.info:
        return warning(*_NO_INFO)
    policy = str(case.server.info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return fine("maxmemory-policy noeviction")
    remedy = "CONFIG SET maxmemory-policy noeviction, and the same in the server's configuration"
    if policy.startswith("volatile"):
        return warning(
            f"maxmemory-policy {policy}: finished records and outputs go before their time when "
            "the memory is full",
            remedy,
        )
    return error(
        f"maxmemory-policy {policy}: queued tasks and records are thrown away when the memory is "
        "full, and nobody is told",
        remedy,
    )


def persistence(case: Case) -> Verdict:
    """Whether a restart of the server loses what is recorded."""
    info, settings = case.server.info, case.server.settings
    if not info:
        return warning(*_NO_INFO)
    if case.embedded and not case.lasting:
        return fine("the private server ends with this program; state_file= keeps the state")
    for key, what in (
        ("aof_last_write_status", "the append-only file could not be written"),
        ("aof_last_bgrewrite_status", "the append-only file could not be rewritten"),
        ("rdb_last_bgsave_status", "the last snapshot could not be written"),
    ):
        if info.get(key, "ok") != "ok":
            return error(what, "make room on the server's disk, check its rights, see its log")
    if info.get("aof_enabled"):
        if settings.get("appendfsync") == "no":
            return warning(
                "appendonly yes, but appendfsync no: a power cut loses what the system has not "
                "written yet, up to half a minute",
                "CONFIG SET appendfsync everysec",
            )
        return fine(f"append-only file, fsync {settings.get('appendfsync', 'unknown')}")
    remedy = "CONFIG SET appendonly yes, and the same in the server's configuration"
    if settings.get("save"):
        changes = info.get("rdb_changes_since_last_save", "?")
        return warning(
            f"snapshots only: a crash loses all since the last one, {changes} writes by now", remedy
        )
    if not settings:
        return warning(
            "no append-only file, and the server does not say whether it makes snapshots: a "
            "restart may lose queued tasks",
            "switch the append-only file on where the server is managed",
        )
    return error("nothing is written to disk: a restart loses every task and record", remedy)


def memory(case: Case) -> Verdict:
    """Whether there is room."""
    info = case.server.info
    if not info:
        return warning(*_NO_INFO)
    used, limit = float(info.get("used_memory", 0)), float(info.get("maxmemory", 0))
    what = "maxmemory"
    if not limit:
        limit, what = float(info.get("total_system_memory", 0)), "the machine's memory"
    if not limit:
        return fine(f"{size(used)} used")
    share = used / limit
    told = f"{size(used)} used, {share:.0%} of {what} ({size(limit)})"
    remedy = (
        "raise maxmemory (or take a larger machine), or keep finished records for a shorter time: "
        "PYAGENT_ORCH_RECORD_TTL_SECONDS"
    )
    if share >= FULL:
        return error(told, remedy)
    return warning(told, remedy) if share >= NEARLY_FULL else fine(told)


def connections(case: Case) -> Verdict:
    """Whether more clients fit."""
    info = case.server.info
    if not info:
        return warning(*_NO_INFO)
    used, limit = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    told = f"{used} of {limit} connections used" if limit else f"{used} connections used"
    if limit and used >= NEARLY_FULL * limit:
        return warning(told, "raise maxclients, and look who holds them with CLIENT LIST")
    return fine(told)


def latency(case: Case) -> Verdict:
    """Whether it answers fast."""
    took = case.server.round_trip_seconds
    told = f"a call takes {took * 1000:.1f} ms from here"
    if took >= SLOW_SECONDS:
        return warning(
            told, "run workers near Redis, and look for slow commands: SLOWLOG GET, LATENCY DOCTOR"
        )
    return fine(told)


def clock(case: Case) -> Verdict:
    """Whether this machine and the server agree on the time."""
    skew = case.server.clock_skew_seconds
    known = case.server.round_trip_seconds / 2
    told = f"the server's clock is {span(skew)} {'ahead of' if skew > 0 else 'behind'} the one here"
    remedy = "run a time service (NTP, chrony) on both machines"
    if abs(skew) - known >= SKEW_ERROR:
        return error(told, remedy)
    if abs(skew) - known >= SKEW_WARNING:
        return warning(told, remedy)
    return fine("the server's clock and the one here agree")
