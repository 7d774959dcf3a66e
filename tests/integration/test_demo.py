"""The demo as people run it: real folders, a real private server, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.demo.runner import run_demo
from support.fleet import ROOT, Fleet, until

RUN = (
    "import sys; from pathlib import Path; from pyagent_orch.demo.runner import run_demo; "
    "sys.exit(run_demo(Path(sys.argv[1]), json='--json' in sys.argv))"
)

# A Ctrl-C that comes while coverage holds its lock leaves it locked for ever (seen with
# coverage 7.17), so processes that are sent one are not measured.
NOT_MEASURED = "COVERAGE_PROCESS_CONFIG"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prose with a broken link, a source, a binary file."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "README.md").write_text("# Hello\n\nSee [this](gone.md) and that.\n")
    (folder / "main.py").write_text('"""Main."""\n\n\ndef run(x):\n    return x and 1\n')
    (folder / "logo.png").write_bytes(b"\x89PNG\r\n\0\0\0\r")
    return folder


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    processes.close()


class Processes:
    """Demos in processes of their own, each with a temporary directory that shows its servers."""

    def __init__(self, directory: Path) -> None:
        self.cwd = directory / "cwd"
        # Short, since a Unix socket's path must be.
        self.temporary = Path(f"/tmp/demo-{os.getpid()}-{time.monotonic_ns() % 10**9}")
        self.cwd.mkdir()
        self.temporary.mkdir()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, folder: Path, *options: str) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PYAGENT_ORCH_") and name != NOT_MEASURED
        }
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(folder), *options],
            cwd=self.cwd,
            # A URL that leads nowhere: the demo must not care.
            env=environment
            | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}
            | {"PYAGENT_ORCH_REDIS_URL": "redis://127.0.0.1:1/0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def leftovers(self) -> list[str]:
        """Processes that belong to a server of this test."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.temporary) in command:
                found.append(command)
        return found

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=10)
        until(lambda: not self.leftovers(), 10)
        for path in sorted(self.temporary.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.temporary.rmdir()


def test_the_demo_reads_a_folder_shows_a_summary_and_writes_a_report(
    folder: Path, processes: Processes
) -> None:
    process = processes.start(folder)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "README.md:3 -> gone.md" in out
    assert "[offline model]" in out
    assert "2 tasks on 1 worker" in out
    report = (processes.cwd / "demo-report" / "report.md").read_text()
    assert "`gone.md` | no such file |" in report
    assert "| completed | 2 |" in report
    assert "Left out: 1 binary." in report
    until(lambda: not processes.leftovers())


def test_the_demo_speaks_json_for_machines(folder: Path, processes: Processes) -> None:
    process = processes.start(folder, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    whole = json.loads(out)
    assert [file["path"] for file in whole["files"]] == ["README.md", "main.py"]
    assert {file["status"] for file in whole["files"]} == {"completed"}
    assert whole["figures"]["failed"] == 0
    assert whole["files"][1]["report"]["python"]["functions"] == 1


def test_ctrl_c_ends_the_demo_within_ten_seconds_and_leaves_nothing_behind(
    tmp_path: Path, processes: Processes
) -> None:
    busy = tmp_path / "busy"
    busy.mkdir()
    source = "".join(f"def f{n}(x):\n    return [y for y in x if y]\n\n\n" for n in range(1_500))
    for number in range(300):
        (busy / f"source{number:03}.py").write_text(source)
    process = processes.start(busy)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Reading 300 files")
    assert process.stdout.readline() == "research: chain(gather, read, analyse, write)\n"
    # The first line of progress: tasks are running.
    assert "of 300 files read" in process.stdout.readline()
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert time.monotonic() - started < 10
    assert process.returncode == 130
    assert "Stopped." in err
    assert "Traceback" not in err
    until(lambda: not processes.leftovers())


def test_a_folder_without_text_is_told_and_no_server_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\0\0\0\r")
    assert run_demo(tmp_path, report_file=tmp_path / "report.md") == 1
    assert "no text to read" in capsys.readouterr().err
    assert not (tmp_path / "report.md").exists()


def test_a_report_that_cannot_be_written_still_leaves_the_summary(
    folder: Path,
    tmp_path: Path,
    embedded: Callable[..., Orchestrator],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("in the way")
    report = tmp_path / "file" / "report.md"
    assert run_demo(folder, orchestrator=embedded(), report_file=report) == 1
    shown = capsys.readouterr()
    assert "Cannot write" in shown.err
    assert "README.md:3 -> gone.md" in shown.out


def test_the_demo_runs_on_a_fleet_that_sees_the_same_disk(
    folder: Path, fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = {"PYAGENT_ORCH_AGENTS": "pyagent_orch.demo.readers"}
    fleet.start(env=agents)
    report = tmp_path / "report.md"
    code = run_demo(folder, orchestrator=fleet.orchestrator, report_file=report)
    assert code == 0, capsys.readouterr().out
    assert "| completed | 2 |" in report.read_text()
    # It was lent, so it is still open.
    done = {task.name for task in fleet.orchestrator.tasks(status="completed")}
    assert done == {"gather", "read", "read[0]", "read[1]", "analyse", "write"}


def test_a_task_that_fails_is_in_the_report_and_in_the_exit_code(
    folder: Path, fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # These workers do not have the demo's agents.
    fleet.start()
    report = tmp_path / "report.md"
    assert run_demo(folder, orchestrator=fleet.orchestrator, report_file=report) == 1
    assert "2 failed" in capsys.readouterr().out
    assert "### Files that could not be read" in report.read_text()
    assert "demo.gather_files" in report.read_text()


def test_ctrl_c_cancels_what_a_fleet_has_not_run_yet(
    folder: Path, fleet: Fleet, tmp_path: Path
) -> None:
    # No worker is there, so all tasks wait.
    code = (
        "import sys; from pathlib import Path; from pyagent_orch import Orchestrator; "
        "from pyagent_orch.demo.runner import run_demo\n"
        "with Orchestrator() as fleet: code = run_demo(Path(sys.argv[1]), orchestrator=fleet)\n"
        "sys.exit(code)"
    )
    environment = fleet.environment()
    environment.pop(NOT_MEASURED, None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(fleet.orchestrator.tasks(status="pending")) == 4, 20)
        # The first line of progress: the demo watches them.
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        assert "0 of 2 files read" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(fleet.orchestrator.tasks(status="cancelled")) == 4
