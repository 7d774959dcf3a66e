"""`pyagent-orch top`: what a fleet does, on a terminal, once, and as JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command, press_ctrl_c
from support.desk import Desk
from support.fleet import Fleet, until

NAME = "Think \x1b[31mhard"


@pytest.fixture
def busy(fleet: Fleet) -> Iterator[Orchestrator]:
    """A worker that runs two tasks for long, behind which others wait."""
    fleet.start("threads", 2)
    orchestrator = fleet.orchestrator
    orchestrator.submit("fail", "no").wait(timeout=10)
    running = [orchestrator.submit("async_sleep", 60, name=NAME) for _ in range(2)]
    until(lambda: all(orchestrator.status(one.id) is TaskStatus.RUNNING for one in running))
    for priority in (1, 5, 5):
        orchestrator.submit("upper", "a", priority=priority, name="Wait")
    yield orchestrator
    for task in running:
        task.cancel()


class Screen:
    """`top` on a terminal of its own, keyboard and all."""

    def __init__(self, command: Command, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self._context = command.running(
            "top", *words, stdin=theirs, stdout=theirs, stderr=theirs,
            env={"LINES": "40", "COLUMNS": "110"},
        )  # fmt: skip
        self.process = self._context.__enter__()
        os.close(theirs)
        self.drawn = ""

    def until(self, pattern: str, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.drawn, re.DOTALL):
            left = deadline - time.monotonic()
            assert left > 0, self.drawn[-3000:]
            if select.select([self._ours], [], [], left)[0]:
                self.drawn += os.read(self._ours, 65536).decode()

    def forget(self) -> None:
        self.drawn = ""

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def close(self) -> None:
        os.close(self._ours)
        self._context.__exit__(None, None, None)


@pytest.fixture
def command(fleet: Fleet, tmp_path: Path) -> Command:
    return Command(tmp_path, fleet.url, fleet.namespace)


@pytest.mark.parametrize("key", ["q", "ctrl-c"])
def test_it_draws_itself_anew_until_somebody_leaves(
    busy: Orchestrator, command: Command, key: str
) -> None:
    screen = Screen(command, "--interval", "200ms")
    try:
        screen.until(r"RUNNING.*Think \\x1b\[31mhard")
        screen.until("3 pending")
        busy.submit("upper", "a", name="One more")
        screen.forget()
        screen.until("4 pending")
        screen.forget()
        if key == "q":
            screen.press("q")
        else:
            press_ctrl_c(screen.process)
        # The screen as it was before.
        screen.until(r"\x1b\[\?1049l")
        assert screen.process.wait(10) == (0 if key == "q" else 130)
    finally:
        screen.close()


def test_once_prints_one_picture(busy: Orchestrator, command: Command) -> None:
    text = command.ok("top", "--once", "--interval", "100ms")
    assert "3 pending   2 running   0 retrying   0 completed   1 failed" in text
    assert re.search(r"^agents +1 +1 +", text, re.MULTILINE)
    assert re.search(r"^agents +5 +2 +", text, re.MULTILINE)
    assert re.search(r"^w1-\S+ +threads +2 +2 +agents$", text, re.MULTILINE)
    assert text.count(r"Think \x1b[31mhard") == 2


def test_machines_get_one_document(busy: Orchestrator, command: Command) -> None:
    told = command.json("top", "--interval", "100ms")
    assert told["namespace"] == busy.settings.namespace
    assert told["tasks"]["running"] == 2
    assert told["tasks"]["failed"] == 1
    assert [(one["priority"], one["waiting"]) for one in told["queues"]] == [(1, 1), (5, 2)]
    assert all(one["oldest_seconds"] > 0 for one in told["queues"])
    [worker] = told["workers"]
    assert (worker["busy"], worker["slots"]) == (2, 2)
    assert [one["name"] for one in told["running"]] == [NAME, NAME]
    assert told["totals"]["attempts"] == {"failed": 1}
    assert told["healing"]["workers_lost"] == 0


def test_rates_are_those_of_the_interval(fleet: Fleet, command: Command) -> None:
    fleet.start("threads", 2)
    for _ in range(5):
        fleet.orchestrator.submit("upper", "a").wait(timeout=10)
    before = command.json("top", "--interval", "100ms")
    assert before["rates"]["completed"] == 0
    assert before["totals"]["attempts"] == {"completed": 5}
    with command.running("top", "--json", "--interval", "1s") as process:
        while process.poll() is None:
            fleet.orchestrator.submit("upper", "a").wait(timeout=10)
        out, _ = process.communicate(timeout=15)
    rates = json.loads(out)["rates"]
    assert rates["completed"] > 0
    assert rates["submitted"] > 0
    assert 0 < rates["attempt_seconds"] < 1


def test_a_redis_that_goes_away_is_told_and_comes_back(busy: Orchestrator, tmp_path: Path) -> None:
    from support.raw_server import RawServer

    with RawServer(tmp_path) as raw:
        screen = Screen(Command(tmp_path, raw.url), "--interval", "200ms")
        try:
            screen.until("No worker serves this namespace")
            raw.kill()
            screen.until("out of reach")
            raw.start()
            screen.forget()
            screen.until("0 pending")
            screen.press("q")
            assert screen.process.wait(10) == 0
        finally:
            screen.close()


def test_a_reading_costs_the_same_however_many_tasks_are_finished(server: PrivateServer) -> None:
    desk = Desk(server)
    try:

        def rounds() -> tuple[int, int]:
            """What a reading has the server do: commands, and bytes that it sends."""
            client = desk.client
            before = client.info("commandstats"), client.info("stats")
            desk.store.measure()
            desk.store.activity(20)
            after = client.info("commandstats"), client.info("stats")
            calls = [sum(one["calls"] for one in stats.values()) for stats, _ in (before, after)]
            sent = [stats["total_net_output_bytes"] for _, stats in (before, after)]
            return calls[1] - calls[0], sent[1] - sent[0]

        desk.submit("first")
        desk.finish(desk.claimed(task_id="first"))
        few = rounds()
        for start in range(0, 2_000, 500):
            pipe = desk.client.pipeline(transaction=False)
            for number in range(start, start + 500):
                pipe.zadd(desk.keys.status(TaskStatus.COMPLETED), {f"t{number}": number})
                pipe.hset(
                    desk.keys.task(f"t{number}"), mapping={"name": "n", "status": "completed"}
                )
            pipe.execute()
        many = rounds()
    finally:
        desk.close()
    assert many[0] == few[0]
    # The counts have more digits, and the server's own statistics.
    assert many[1] < few[1] * 1.5
