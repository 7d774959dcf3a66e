"""The command `pyagent-orch` as tests run it, on one installation."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyagent_orch import Orchestrator
from pyagent_orch.cli import run
from support.fleet import AGENTS, ROOT, TESTS, until

PROGRAM = Path(sys.executable).with_name("pyagent-orch")


class Command:
    """Runs `pyagent-orch` with one environment.

    Args:
        directory: the current folder of the command.
        url: the fleet's Redis; None for none.
        namespace: the installation.
    """

    def __init__(self, directory: Path, url: str | None, namespace: str = "default") -> None:
        self.directory, self.url, self.namespace = directory, url, namespace

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYAGENT_ORCH_", "NO_CO"))}
        where = {"PYAGENT_ORCH_REDIS_URL": self.url} if self.url else {}
        return {
            **kept,
            **where,
            "PYAGENT_ORCH_NAMESPACE": self.namespace,
            "PYAGENT_ORCH_AGENTS": AGENTS,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
            "TERM": "xterm-256color",
            "COLUMNS": "120",
            **(extra or {}),
        }

    @contextmanager
    def running(
        self, *words: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Start it, in a process group of its own; nothing of it is left behind."""
        process = self._start(*words, env=env, **options)
        try:
            yield process
        finally:
            # With the children of a pool, if there are any.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            process.wait(10)

    def _start(
        self, *words: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}  # fmt: skip
        return subprocess.Popen(
            [str(PROGRAM), *words], cwd=self.directory, env=self.environment(env), text=True,
            process_group=0, **options,
        )  # fmt: skip

    def run(
        self, *words: str, text: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.running(*words, env=env, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(text, timeout=30)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def here(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the same program in this process, where all is imported already."""
        out, err = io.StringIO(), io.StringIO()
        with (
            _logging_left_alone(),
            patch.dict(os.environ, self.environment(), clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def ok(self, *words: str) -> str:
        """Run it here, expect success, and return what it printed."""
        done = self.here(*words)
        assert done.returncode == 0, done
        return done.stdout.rstrip("\n")

    def json(self, *words: str) -> Any:
        """Run it here with `--json`, expect success, and return its one document."""
        return json.loads(self.ok(*words, "--json"))

    def on_terminal(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run it with a terminal as stdout and stderr; returns all that it drew."""
        ours, theirs = pty.openpty()
        drawn = b""
        with self.running(*words, env=env, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            # Linux tells the end of a terminal by an error.
            with suppress(OSError):
                while page := os.read(ours, 65536):
                    drawn += page
            os.close(ours)
            assert process.wait(10) == 0, drawn
        return drawn.decode().replace("\r\n", "\n")


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """`--verbose` is for a process of its own: a later test must not hear more for it."""
    loggers = [logging.getLogger(name) for name in (None, "pyagent_orch")]
    levels = [logger.level for logger in loggers]
    handlers = list(loggers[0].handlers)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[0].handlers[:] = handlers


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """What a terminal does to the processes in its foreground."""
    os.killpg(process.pid, signal.SIGINT)


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
