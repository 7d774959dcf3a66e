"""Durable handlers: of a group of processes one gets each event, at least once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.listener import durable
from support.fleet import ROOT, until
from support.heard import Heard

Member = Callable[[], Orchestrator]

PROGRAM = """
import pathlib, sys, time
from pyagent_orch import Orchestrator
url, namespace, out, pause = sys.argv[1:]
orch = Orchestrator(redis_url=url, namespace=namespace)
def handle(data):
    with open(out, "a") as file:
        file.write(f"{data}\\n")
    time.sleep(float(pause))
orch.on("custom.*", handle, durable="group")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def member(server: PrivateServer, namespace: str) -> Iterator[Member]:
    """Makes orchestrators, each of which is as good as a process of its own."""
    made: list[Orchestrator] = []

    def make() -> Orchestrator:
        made.append(Orchestrator(redis_url=server.url, namespace=namespace))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process has had for half a second goes to another one."""
    monkeypatch.setattr(durable, "TAKE_OVER_AFTER_MS", 500)


def unanswered(orch: Orchestrator) -> int:
    store = orch._store
    return int(store.client.xpending(store.keys.events, "group")["pending"])


def test_one_process_of_a_group_gets_each_event(member: Member) -> None:
    one, two, other = Heard(), Heard(), Heard()
    member().on("custom.*", one, durable="group")
    member().on("custom.*", two, durable="group")
    member().on("custom.*", other, durable="another group")
    sender = member()
    for number in range(200):
        sender.emit("custom.event", number)
    until(lambda: len(one) + len(two) >= 200)
    until(lambda: unanswered(sender) == 0)
    assert sorted([*one, *two]) == sorted(other.until(200)) == list(range(200))


def test_events_sent_while_all_were_down_are_not_lost(member: Member) -> None:
    first = member()
    first.emit("custom.event", "before there was a group")
    heard = Heard()
    first.on("custom.*", heard, durable="group")
    first.emit("custom.event", "up")
    heard.until(1)
    first.close()
    sender = member()
    for number in range(3):
        sender.emit("custom.event", number)
    again = Heard()
    member().on("custom.*", again, durable="group")
    assert again.until(3) == [0, 1, 2]
    assert heard == ["up"]


def test_a_killed_processs_events_are_taken_over(
    member: Member, server: PrivateServer, namespace: str, tmp_path: Path, quick: None
) -> None:
    out = tmp_path / "handled"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, namespace, str(out), "60"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        sender = member()
        sender.emit("custom.event", "in hand")
        until(out.exists)
        sender.emit("custom.event", "later")
        process.kill()
    heard = Heard()
    member().on("custom.*", heard, durable="group")
    assert sorted(heard.until(2)) == ["in hand", "later"]
    until(lambda: unanswered(sender) == 0)
    assert len(heard) == 2


def test_an_event_whose_handler_raised_is_offered_again(member: Member, quick: None) -> None:
    heard = Heard()

    def handle(data: Any) -> None:
        heard(data)
        if len(heard) == 1:
            raise SystemExit("not yet")

    orch = member()
    orch.on("custom.*", handle, durable="group")
    orch.emit("custom.event", "x")
    assert heard.until(2) == ["x", "x"]
    until(lambda: unanswered(orch) == 0)


def test_an_event_in_hand_is_not_taken_from_a_process_that_is_only_slow(
    member: Member, quick: None
) -> None:
    heard = Heard()

    def slow(data: Any) -> None:
        heard(data)
        time.sleep(1.0 if data == 0 else 0.1)

    # One of them takes all that is there, and has far more to do than the take-over allows.
    sender = member()
    sender.on("custom.*", print, durable="group")
    sender.off(print)
    for number in range(20):
        sender.emit("custom.event", number)
    member().on("custom.*", slow, durable="group")
    member().on("custom.*", slow, durable="group")
    holders: set[str] = set()

    def all_answered() -> bool:
        store = sender._store
        members = store.client.xinfo_consumers(store.keys.events, "group")
        holders.update(member["name"] for member in members if member["pending"])
        return len(heard) >= 20 and unanswered(sender) == 0

    until(all_answered, timeout=15)
    assert sorted(heard) == list(range(20))
    assert len(holders) == 1


def test_an_async_durable_handler_has_ended_when_its_event_is_answered(member: Member) -> None:
    orch, heard = member(), Heard()
    go = threading.Event()

    async def handle(data: Any) -> None:
        await asyncio.to_thread(go.wait, 10)
        heard(data)

    orch.on("custom.*", handle, durable="group")
    orch.emit("custom.event", "x")
    until(lambda: unanswered(orch) == 1)
    assert heard == []
    go.set()
    until(lambda: unanswered(orch) == 0)
    assert heard == ["x"]


def test_events_of_other_patterns_are_answered_without_a_call(member: Member) -> None:
    orch, heard = member(), Heard()
    orch.on("task.*", heard, durable="group")
    orch.emit("custom.event", "x")
    task = orch.submit("echo", "x")
    task.cancel()
    assert [live.id for live in heard.until(2)] == [task.id, task.id]
    until(lambda: unanswered(orch) == 0)


def test_off_ends_a_durable_handler_and_the_group_stays(member: Member) -> None:
    orch, heard, after = member(), Heard(), Heard()
    orch.on("custom.*", heard, durable="group")
    assert orch.off(heard) is True
    assert orch.off(heard) is False
    orch.emit("custom.event", "x")
    orch.on("custom.*", after, durable="group")
    assert after.until(1) == ["x"]
    assert heard == []
