"""The command line: real processes against a real server and a worker that it started itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from pyagent_orch import Orchestrator, TaskStatus
from pyagent_orch.cli.exits import Exit
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store.keys import Keys
from support.command import Command, press_ctrl_c, worker_of
from support.fleet import until
from support.raw_server import PASSWORD

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil \ud83d"


@pytest.fixture(scope="module")
def cli(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, on an installation of this module with one worker of threads."""
    folder = tmp_path_factory.mktemp("cli")
    command = Command(folder, server.broker_url, f"cli{uuid4().hex[:8]}")
    with worker_of(command, "--concurrency", "4") as worker:
        yield command
        worker.terminate()
        assert worker.wait(10) == 0


@pytest.fixture
def client(cli: Command) -> Iterator[Orchestrator]:
    with Orchestrator(redis_url=cli.url, namespace=cli.namespace) as orchestrator:
        yield orchestrator


# --- submit ---------------------------------------------------------------------------------


def test_submit_prints_the_id_alone_and_the_record_has_what_was_given(
    cli: Command, client: Orchestrator
) -> None:
    done = cli.run(
        "submit", "echo", "-", "--json-input", "--name", "order 7", "--priority", "2", "-m",
        "user=alice", "-m", "tries:=3", "--timeout", "1m", "--retry", "2", "--key", "k7",
        text='{"n": [1, null]}',
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    task = client.get_task(done.stdout.strip()).wait(timeout=10)
    assert (task.output, task.name, task.priority) == ({"n": [1, None]}, "order 7", 2)
    assert (task.metadata, task.timeout) == ({"user": "alice", "tries": 3}, 60)
    again = cli.here("submit", "echo", "other", "--key", "k7", "--wait")
    assert json.loads(again.stdout) == {"n": [1, None]}


def test_submit_with_wait_prints_the_output_and_tells_progress_on_stderr(cli: Command) -> None:
    done = cli.run("submit", "sleep", "0.6", "--json-input", "--wait")
    assert (done.returncode, done.stdout) == (0, "slept\n")
    assert "running on worker-" in done.stderr
    assert "completed on worker-" in done.stderr
    shown = cli.here("submit", "echo", "--wait", "--json")
    document = json.loads(shown.stdout)
    assert document["status"] == "completed"
    assert document["input"] is document["output"] is None


def test_a_failed_task_gives_code_1_and_show_has_the_traceback(cli: Command) -> None:
    done = cli.run("submit", "fail", "no luck", "--wait", "--json")
    assert done.returncode == Exit.FAILED
    task = json.loads(done.stdout)
    assert task["error"]["type"] == "ValueError"
    assert f"Error: Task {task['id']} failed: ValueError: no luck\n" in done.stderr
    shown = cli.ok("show", task["id"])
    assert "fail  failed\n" in shown
    assert "fleet_agents.py" in shown
    assert cli.json("show", task["id"]) == task


def test_waiting_ends_with_the_task_or_with_the_time(cli: Command, client: Orchestrator) -> None:
    with cli.running("submit", "echo", "--delay", "1h", "--name", "off", "--wait") as waiting:
        late = cli.here("submit", "echo", "--delay", "1h", "--wait-timeout", "200ms")
        assert late.returncode == Exit.STILL_RUNNING
        assert client.status(late.stdout.strip()) is TaskStatus.PENDING
        task = until(lambda: client.tasks(name="off"))[0]
        task.cancel()
        out, err = waiting.communicate(timeout=10)
    assert (waiting.returncode, out) == (Exit.CANCELLED, "")
    assert f"Error: Task {task.id} cancelled" in err


def test_ctrl_c_ends_the_waiting_and_not_the_task(cli: Command, client: Orchestrator) -> None:
    with cli.running("submit", "echo", "--delay", "1h", "--wait") as waiting:
        assert waiting.stderr
        task_id = waiting.stderr.readline().split()[1].rstrip(":")
        press_ctrl_c(waiting)
        _, err = waiting.communicate(timeout=10)
    assert waiting.returncode == Exit.INTERRUPTED
    assert f"Task {task_id} goes on; to end it: pyagent-orch cancel {task_id}" in err
    assert "Traceback" not in err
    assert client.status(task_id) is TaskStatus.PENDING


def test_waiting_without_a_worker_says_that_there_is_none(cli: Command) -> None:
    done = cli.here("submit", "echo", "--wait-timeout", "2.4", "--namespace", "empty-here")
    assert done.returncode == Exit.STILL_RUNNING
    assert "No worker serves namespace empty-here; start one: pyagent-orch worker" in done.stderr


# --- looking and acting ---------------------------------------------------------------------


def test_list_filters_pages_and_aligns(cli: Command, client: Orchestrator) -> None:
    many = [
        client.submit("echo", n, name="listed", metadata={"n": n, "kind": "a" if n else "b"})
        for n in range(3)
    ]
    client.wait(*many, timeout=10)
    found = cli.json("list", "--name", "listed", "--metadata", "kind=a", "--status", "COMPLETED")
    assert {task["input"] for task in found} == {1, 2}
    assert [task["input"] for task in cli.json("list", "--metadata", "n:=0")] == [0]
    first = cli.json("list", "--name", "listed", "--limit", "2")
    rest = cli.json("list", "--name", "listed", "--before", first[-1]["id"])
    assert sorted(task["input"] for task in first + rest) == [0, 1, 2]
    lines = cli.ok("list", "--name", "listed").splitlines()
    assert lines[0].split() == ["ID", "STATUS", "NAME", "AGE", "TOOK", "RESULT"]
    assert len({line.index("listed") for line in lines[1:]} | {lines[0].index("NAME")}) == 1
    nothing = cli.here("list", "--name", "nobody")
    assert (nothing.stdout, nothing.stderr) == ("", "No tasks.\n")


def test_cancel_and_retry_go_through_all_ids_and_sum_up(cli: Command, client: Orchestrator) -> None:
    waiting = client.submit("echo", "x", delay=3600)
    failed = client.submit("fail", "x").wait(timeout=10)
    done = cli.here("cancel", waiting.id, failed.id)
    assert done.returncode == Exit.FAILED
    assert done.stdout.splitlines() == [
        f"{waiting.id}  cancelled",
        f"{failed.id}  failed (was final already)",
    ]
    again = cli.here("retry", waiting.id, "no-such-id", failed.id, "--json")
    assert again.returncode == Exit.ERROR
    assert "No task 'no-such-id'" in again.stderr
    results = json.loads(again.stdout)
    assert [result["done"] for result in results] == [True, False, True]
    assert cli.ok("status", waiting.id) in {"pending", "running", "completed"}
    assert client.get_task(waiting.id).result(timeout=10) == "x"


def test_workers_shows_the_worker_that_the_command_became(cli: Command) -> None:
    (worker,) = cli.json("workers")
    # The worker's name has the process id of the command; see `worker_of`, too.
    assert worker["name"].startswith(f"worker-{worker['pid']}@")
    assert (worker["pool"], worker["concurrency"]) == ("threads", 4)
    assert "echo" in worker["agents"]
    assert worker["name"] in cli.ok("workers")
    nobody = cli.here("workers", "--namespace", "nobody-here")
    assert "No worker serves namespace nobody-here" in nobody.stderr


def test_events_are_filtered_and_followed(cli: Command, client: Orchestrator) -> None:
    task = client.submit("echo", "x").wait(timeout=10)
    emitted = client.emit("custom.thing", {"a": 1})
    printed = cli.ok("events", "--since", "1m", "--type", "task.c*", "--type", "task.s*")
    types = re.findall(rf"  (task\.\w+) +{task.id}  name=echo", printed)
    assert types == ["task.submitted", "task.started", "task.completed"]
    words = ("events", "-f", "--since", emitted, "--json", "--limit", "4")
    with cli.running("--verbose", *words) as followed:
        client.submit("fail", "x")
        client.emit("custom.last")
        out, err = followed.communicate(timeout=10)
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["type"] for line in lines} == {
        "task.submitted", "task.started", "task.failed", "custom.last",
    }  # fmt: skip
    assert followed.returncode == 0, err


def test_ctrl_c_ends_the_following_without_a_traceback(cli: Command, client: Orchestrator) -> None:
    position = client.emit("custom.start")
    client.emit("custom.seen")
    with cli.running("events", "--follow", "--since", position) as followed:
        assert followed.stdout
        assert "custom.seen" in followed.stdout.readline()
        press_ctrl_c(followed)
        _, err = followed.communicate(timeout=10)
    assert (followed.returncode, err.strip()) == (Exit.INTERRUPTED, "")


# --- the screen -----------------------------------------------------------------------------


def test_hostile_text_never_reaches_the_screen_and_json_has_it_exactly(
    cli: Command, client: Orchestrator
) -> None:
    hostile = HOSTILE.replace("\ud83d", "")
    task = client.submit("echo", {hostile: [hostile]}, name=hostile, metadata={"m": hostile})
    task.wait(timeout=10)
    failed = client.submit("fail", hostile, name=hostile).wait(timeout=10)
    words = ["show", task.id], ["show", failed.id], ["events"], ["list", "--name", hostile]
    drawn = [cli.on_terminal(*words[-1], env={"NO_COLOR": "1"})]
    for printed in drawn + [cli.ok(*word) for word in words]:
        assert r"\x1b[2J\x1b]0;owned\x07" in printed
        assert r"\u202eevil" in printed
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
    assert cli.json("show", task.id)["output"] == {hostile: [hostile]}
    refused = cli.here("submit", hostile)
    assert refused.returncode == Exit.ERROR
    assert "\x1b" not in refused.stderr
    assert "\u202e" not in refused.stderr


def test_a_terminal_gets_colour_and_a_living_line(cli: Command, client: Orchestrator) -> None:
    client.submit("echo", "[bold]", name="coloured").wait(timeout=10)
    words = ("list", "--name", "coloured")
    coloured = cli.on_terminal(*words)
    assert re.search(r"\x1b\[32mcompleted", coloured)
    assert "[bold]" in coloured
    assert "\x1b" not in cli.ok(*words)
    drawn = cli.on_terminal("submit", "sleep", "0.5", "--json-input", "--wait")
    assert "running on worker-" in drawn
    assert drawn.endswith("slept\n")


def test_a_narrow_terminal_cuts_what_may_be_cut_and_no_id(
    cli: Command, client: Orchestrator
) -> None:
    task = client.submit("echo", "word " * 50, name="narrow").wait(timeout=10)
    env = {"COLUMNS": "90", "NO_COLOR": "1"}
    lines = cli.on_terminal("list", "--name", "narrow", env=env).splitlines()
    assert task.id in lines[1]
    assert lines[1].endswith("…")
    assert max(map(len, lines)) <= 90


def test_whoever_stops_reading_is_not_told_of_it(cli: Command) -> None:
    with cli.running("list", "--json") as listing:
        assert listing.stdout
        assert listing.stderr
        listing.stdout.close()
        assert listing.wait(10) == Exit.BROKEN_PIPE
        assert listing.stderr.read() == ""


# --- errors ---------------------------------------------------------------------------------


def test_errors_are_one_line_with_code_2_and_no_password(cli: Command) -> None:
    away = f"redis://:{PASSWORD}@localhost:1/0"
    for words in (
        ("show", "no-such-id"),
        ("submit", "no-such-agent"),
        ("list", "--redis-url", away),
        ("--redis-url", away, "events", "--follow"),
        ("list", "--namespace", "no good"),
    ):
        done = cli.here(*words)
        assert (done.returncode, done.stdout) == (Exit.ERROR, ""), words
        assert re.fullmatch(r"Error: .+\n", done.stderr), done.stderr
        assert PASSWORD not in done.stderr


def test_what_nobody_foresaw_is_one_line_too_and_verbose_shows_where(
    cli: Command, client: Orchestrator, server: PrivateServer
) -> None:
    task = client.submit("echo", "x").wait(timeout=10)
    with redis.Redis.from_url(server.url) as raw:
        raw.hset(Keys(cli.namespace).task(task.id), "priority", "no number")
    done = cli.here("show", task.id)
    assert done.returncode == Exit.BUG
    assert re.fullmatch(r"Error: ValueError: .+ --verbose shows where .+\n", done.stderr)
    assert "Traceback" in cli.run("show", task.id, "-v").stderr
    with redis.Redis.from_url(server.url) as raw:
        raw.hset(Keys(cli.namespace).task(task.id), "priority", "5")
