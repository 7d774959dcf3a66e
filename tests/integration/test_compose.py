"""The stack of docker-compose.yml, without Docker: each service's own command and health check."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.compose import Stack, env_file
from support.fleet import ROOT, until

SECRETS = {
    "DASHBOARD_TOKEN": "t0kenOfTheDashboardOfTheStack",
    "REDIS_PASSWORD": "r3disPassw0rdOfTheStack",
    "FLOWER_PASSWORD": "fl0werPassw0rdOfTheStack",
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, env_file(ROOT / ".env.example") | SECRETS) as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_stack_comes_up_works_is_seen_to_die_and_stops_cleanly(stack: Stack) -> None:
    names = list(stack.services)
    first = [name for name, one in stack.services.items() if "depends_on" not in one]
    assert first == ["redis"]
    for name in [*first, *(name for name in names if name not in first)]:
        stack.start(name)
        if name in first:
            until(lambda name=name: stack.is_well(name), 30)
    for name in names:
        until(lambda name=name: stack.is_well(name), 60, pause=0.2)
    done = stack.run("worker", "pyagent-orch", "submit", "hello", "world", "--wait")
    assert done.stdout.strip() == "Hello, world!", (done, stack.logs())
    # The web example's agent is one of the fleet's.
    with httpx.Client(base_url=stack.web, timeout=30) as client:
        asked = {"agent": "storyteller", "input": "an owl"}
        made = client.post("/agents/tasks", json=asked).raise_for_status().json()
        until(lambda: client.get(f"/agents/tasks/{made['id']}").json()["status"] == "completed", 30)
    for name in ("worker", "beat"):
        until(lambda name=name: stack.health(name).stdout.count(f"{name}-") == 2, 20)
    examined = stack.run("worker", "pyagent-orch", "doctor", "--quiet")
    assert examined.returncode == 0, examined.stdout
    # A stop is clean and in time for Docker; what is dead is red, what lives stays green.
    for name in reversed(names):
        how = signal.SIGKILL if name in {"beat", "redis"} else signal.SIGTERM
        codes = stack.signal(name, how)
        # A web server ends by the very signal that it was asked with, after its own good-bye.
        clean = -how if how is signal.SIGKILL or name in {"dashboard", "web"} else 0
        assert set(codes) == {clean}, (name, codes, stack.logs())
        until(lambda name=name: not stack.is_well(name), 15)
        assert name == "redis" or stack.is_well("redis")
    for secret in SECRETS.values():
        assert secret not in stack.logs()
