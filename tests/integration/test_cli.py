"""The command line: real processes against a real server and a worker that it started itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from support.command import PROGRAM, Command, press_ctrl_c
from support.fleet import until
from support.raw_server import PASSWORD, RawServer

from pyagent_orch import Orchestrator, TaskStatus
from pyagent_orch.cli.exits import OF_STATUS, Exit
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.states import FINAL_TASK_STATES
from pyagent_orch.store.keys import Keys

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


@contextmanager
def worker_of(command: Command, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A worker that `pyagent-orch worker` started; it takes tasks."""
    with (
        (command.directory / "worker.log").open("w") as log,
        command.running("worker", *words, stdout=log, stderr=log) as worker,
        Orchestrator(redis_url=command.url, namespace=command.namespace) as orchestrator,
    ):
        until(lambda: any(w["pid"] == worker.pid for w in orchestrator.workers().values()), 30)
        yield worker


@pytest.fixture
def client(cli: Command) -> Iterator[Orchestrator]:
    with Orchestrator(redis_url=cli.url, namespace=cli.namespace) as orchestrator:
        yield orchestrator


# --- help and usage -------------------------------------------------------------------------


def test_help_and_completion_import_nothing_that_is_slow() -> None:
    program = (
        "import sys; from pyagent_orch.cli import run; assert run(['--help']) == 0;"
        "slow = {'celery', 'kombu', 'redis', 'rich', 'pydantic_ai'} & set(sys.modules);"
        "sys.exit(f'imported: {slow}' if slow else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("demo", "submit", "status", "show", "list", "cancel", "retry", "worker", "events"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE), name


def test_the_shell_completes_commands_and_states(tmp_path: Path) -> None:
    plain = Command(tmp_path, None)
    for words, cursor, expected in (
        ("pyagent-orch su", "1", "plain,submit"),
        ("pyagent-orch list --status fa", "3", "plain,failed"),
    ):
        env = {"_PYAGENT_ORCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": cursor}
        assert plain.run(env=env).stdout.split() == [expected]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sumbit x", "Did you mean 'submit'"),
        ("submit", "Usage: "),
        ("submit a b c", "put INPUT in quotes"),
        ("submit a --priority 11", "1<=x<=10"),
        ("submit a --timeout soon", "is no duration"),
        ("submit a --metadata user", "is not KEY=TEXT or KEY:=JSON"),
        ("submit a --metadata n:=x", "is not JSON"),
        ("submit a {x --json-input", "INPUT is not JSON"),
        (f"submit a {'[' * 100_000} --json-input", "nested too deeply"),
        ("submit a --model m", "--model goes with --instructions"),
        ("submit a b --instructions i", "give INPUT and nothing else"),
        ("submit a --agents m", "--agents goes with --embedded"),
        ("submit a --embedded --no-wait", "--embedded goes with neither"),
        ("list --status done", "'done' is not one of 'pending'"),
        ("list --limit 0", "x>=1"),
        ("events --since yesterday", "neither an event's id nor a duration"),
        ("demo /nowhere", "does not exist"),
        ("demo --redis-url redis://x", "takes no --redis-url"),
        ("status", "Missing argument"),
        ("cancel", "Missing argument"),
    ],
)
def test_wrong_usage_is_said_on_stderr_with_code_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyagent_orch.cli import run

    assert run(words.split()) == Exit.ERROR
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Usage: pyagent-orch" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("command", ["list", "submit x", "events", "workers", "worker"])
def test_without_a_url_a_fleet_command_says_what_to_set(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyagent_orch.cli import run

    assert run(command.split()) == Exit.ERROR
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: PYAGENT_ORCH_REDIS_URL: ")
    assert printed.err.count("\n") == 1
    assert "--redis-url" in printed.err


def test_every_final_state_has_an_exit_code_of_its_own() -> None:
    assert set(OF_STATUS) == FINAL_TASK_STATES
    assert len(set(OF_STATUS.values())) == len(OF_STATUS)


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


def test_a_task_runs_embedded_without_any_fleet(tmp_path: Path) -> None:
    (tmp_path / "beside_me.py").write_text(
        "from pyagent_orch import register_agent\n"
        "@register_agent\ndef backwards(text):\n    return text[::-1]\n"
    )
    unreachable = Command(tmp_path, "redis://localhost:1")
    done = unreachable.run("submit", "--embedded", "--agents", "beside_me", "backwards", "abc")
    assert (done.returncode, done.stdout) == (0, "cba\n")


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


def test_following_goes_on_when_redis_comes_back(tmp_path: Path) -> None:
    with RawServer(tmp_path) as raw, Orchestrator(redis_url=raw.url) as orchestrator:
        first = orchestrator.emit("custom.first")
        command = Command(tmp_path, raw.url)
        words = ("events", "-f", "--since", "1m", "--json", "--limit", "2")
        with command.running(*words) as followed:
            assert followed.stdout
            assert followed.stderr
            assert json.loads(followed.stdout.readline())["id"] == first
            raw.kill()
            said = followed.stderr.readline()
            assert "out of reach" in said
            assert PASSWORD not in said
            raw.start()
            orchestrator.emit("custom.second")
            out, _ = followed.communicate(timeout=15)
            assert [json.loads(line)["type"] for line in out.splitlines()] == ["custom.second"]
            assert followed.returncode == 0


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


def test_colour_and_a_living_line_are_for_terminals_only(
    cli: Command, client: Orchestrator, tmp_path: Path
) -> None:
    client.submit("echo", "[bold]", name="coloured").wait(timeout=10)
    words = ("list", "--name", "coloured")
    coloured = cli.on_terminal(*words)
    assert re.search(r"\x1b\[32mcompleted", coloured)
    assert "[bold]" in coloured
    (tmp_path / "rich.py").write_text("raise ImportError('rich is not installed here')")
    without_rich = {"PYTHONPATH": f"{tmp_path}:{cli.environment()['PYTHONPATH']}"}
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, without_rich):
        assert "\x1b" not in cli.on_terminal(*words, env=env)
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


# --- workers, demo, docs --------------------------------------------------------------------


def test_a_worker_takes_options_of_ours_and_of_celery_and_ends_on_ctrl_c(
    cli: Command, client: Orchestrator, tmp_path: Path
) -> None:
    command = Command(tmp_path, cli.url, cli.namespace)
    ours = ("--pool", "prefork", "-c", "1", "--queues", "slow,agents", "--name", "own")
    with worker_of(command, *ours, "--", "--max-tasks-per-child", "7") as worker:
        (info,) = [info for name, info in client.workers().items() if name.startswith("own@")]
        assert (info["pool"], info["queues"]) == ("prefork", ["agents", "slow"])
        arguments = subprocess.check_output(
            ["ps", "-ww", "-o", "args=", "-p", str(worker.pid)], text=True
        )
        assert "-A workers.celery_app worker" in arguments
        assert "--max-tasks-per-child 7" in arguments
        assert client.submit("upper", "x", queue="slow").result(timeout=10) == "X"
        press_ctrl_c(worker)
        # Celery's own code for a warm shutdown by Ctrl-C.
        assert worker.wait(10) == 1
    log = (tmp_path / "worker.log").read_text()
    assert "Warm shutdown" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("files", "words", "said"),
    [
        ((), ("--agents", "no_such.module"), "there is no module 'no_such.module'"),
        (("pack/__init__.py",), ("--agents", "pack.gone"), "there is no module 'pack.gone'"),
        (("workers/__init__.py",), (), "would be imported in place of the worker's own module"),
        (("celery.py",), (), "would be imported in place of the worker's own module"),
    ],
)
def test_a_worker_that_could_not_start_says_so_before(
    cli: Command, tmp_path: Path, files: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("raise SystemExit('imported')")
    done = Command(tmp_path, cli.url).run("worker", *words)
    assert done.returncode == Exit.ERROR
    assert re.fullmatch(r"Error: .+\n", done.stderr)
    assert said in done.stderr


def test_the_demo_runs_on_a_folder_and_leaves_its_report(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nA text of a few words. It has two sentences.\n")
    unreachable = Command(tmp_path, "redis://localhost:1")
    done = unreachable.run("demo", "texts", "--report", "found.md", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"].endswith("texts")
    assert "one.md" in (tmp_path / "found.md").read_text()


def test_the_tour_of_the_docs_runs_as_it_is_written(server: PrivateServer, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (module,) = (text for kind, text in blocks if kind == "python")
    script = "\n".join(text for kind, text in blocks if kind == "bash")
    assert "pyagent-orch worker --agents my_agents\n" in page
    (tmp_path / "my_agents.py").write_text(module)
    command = Command(tmp_path, server.broker_url, f"doc{uuid4().hex[:8]}")
    env = command.environment()
    env["PATH"] = f"{PROGRAM.parent}:{env['PATH']}"
    with worker_of(command, "--agents", "my_agents"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for expected in ("HELLO\n", "GOOD MORNING\n", "ZeroDivisionError", "cancelled\n"):
        assert expected in done.stdout
    assert json.loads((tmp_path / "task.json").read_text())["output"] == "HELLO"
