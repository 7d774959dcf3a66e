"""A namespace as plain JSON: dumped by commands that read each type, loaded by their opposites.

Independent of RDB, whose versions differ between servers. Ages are kept as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
ALL = ("-", "+")


def dump(client: redis.Redis) -> dict[str, Any]:
    """Every key of the server: type, content, and whether it expires."""
    return {key: _read(client, key) for key in sorted(client.scan_iter())}


def _read(client: redis.Redis, key: str) -> dict[str, Any]:
    kind = str(client.type(key))
    content: Any
    match kind:
        case "string":
            content = client.get(key)
        case "hash":
            content = dict(sorted(client.hgetall(key).items()))
        case "list":
            content = client.lrange(key, 0, -1)
        case "set":
            content = sorted(client.smembers(key))
        case "zset":
            content = client.zrange(key, 0, -1, withscores=True)
        case "stream":
            groups = [
                {"name": group["name"], "last": group["last-delivered-id"]}
                for group in client.xinfo_groups(key)
            ]
            content = {"entries": client.xrange(key, *ALL), "groups": groups}
        case _:
            raise AssertionError(f"{key} is a {kind}")
    return {"type": kind, "expires": client.pttl(key) >= 0, "content": content}


def load(client: redis.Redis, version: str, *, ttl_ms: int) -> Mapping[str, Any]:
    """Write the snapshot of a version into an empty server; returns what is in it.

    Args:
        client: a client of the server.
        version: which one, such as `0.1.0`.
        ttl_ms: how long the keys stay that had a time to live.
    """
    snapshot: dict[str, Any] = json.loads((SNAPSHOTS / f"{version}.json").read_text())
    for key, one in snapshot["keys"].items():
        if key.endswith(":sweeping"):
            # A lock that a worker held for a second.
            continue
        _write(client, key, one["type"], one["content"])
        if one["expires"]:
            client.pexpire(key, ttl_ms)
    return snapshot


def _write(client: redis.Redis, key: str, kind: str, content: Any) -> None:
    match kind:
        case "string":
            client.set(key, content)
        case "hash":
            client.hset(key, mapping=content)
        case "list":
            client.rpush(key, *content)
        case "set":
            client.sadd(key, *content)
        case "zset":
            client.zadd(key, dict(content))
        case "stream":
            for entry_id, fields in content["entries"]:
                client.xadd(key, fields, id=entry_id)
            for group in content["groups"]:
                client.xgroup_create(key, group["name"], id=group["last"])
