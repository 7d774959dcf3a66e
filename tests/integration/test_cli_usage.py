"""The command line before it talks to anybody: help, completion, wrong usage."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent_orch.cli import run
from pyagent_orch.cli.exits import OF_STATUS, Exit
from pyagent_orch.states import FINAL_TASK_STATES
from support.command import Command


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


def test_a_command_imports_no_other_one() -> None:
    program = (
        "import sys; from pyagent_orch.cli import run; assert run(['status', '--help']) == 0;"
        "rooms = {name.rpartition('.')[2] for name in sys.modules if '.cli.' in name};"
        "others = rooms & {'demo', 'submit', 'workflows', 'schedules', 'fleet', 'up', 'top'};"
        "slow = {'celery', 'redis', 'rich', 'asyncio', 'importlib.metadata'} & set(sys.modules);"
        "sys.exit(f'imported: {others | slow}' if others | slow else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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
    assert run(words.split()) == Exit.ERROR
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Usage: pyagent-orch" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("command", ["list", "submit x", "events", "workers", "worker"])
def test_without_a_url_a_fleet_command_says_what_to_set(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.split()) == Exit.ERROR
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: PYAGENT_ORCH_REDIS_URL: ")
    assert printed.err.count("\n") == 1
    assert "--redis-url" in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "PYAGENT_ORCH_FLOWER_PASSWORD: Flower shows inputs"),
        ("--no-password --address 0.0.0.0", "everybody on the network"),
        ("--no-password --address example.org", "everybody on the network"),
        ("--no-password -- --address=0.0.0.0", "would undo what is checked"),
        ("--password-file /nowhere", "/nowhere cannot be read: No such file"),
        ("--password-file /dev/null", "/dev/null is empty"),
    ],
)
def test_flower_lets_nobody_in_without_a_password(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--redis-url", "redis://localhost:1")
    assert run(["flower", *url, *words.split()]) == Exit.ERROR
    assert said in capsys.readouterr().err


def test_every_final_state_has_an_exit_code_of_its_own() -> None:
    assert set(OF_STATUS) == FINAL_TASK_STATES
    assert len(set(OF_STATUS.values())) == len(OF_STATUS)


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
    tmp_path: Path, files: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("raise SystemExit('imported')")
    done = Command(tmp_path, "redis://localhost:1").run("worker", *words)
    assert done.returncode == Exit.ERROR
    assert re.fullmatch(r"Error: .+\n", done.stderr)
    assert said in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completion", shell]) == Exit.OK
    script = capsys.readouterr().out
    assert f"_PYAGENT_ORCH_COMPLETE={shell}_complete" in script


def test_bash_reads_the_script(tmp_path: Path) -> None:
    script = Command(tmp_path, None).run("completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p pyagent-orch"],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "_pyagent_orch_completion" in done.stdout
