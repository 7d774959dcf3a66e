"""Real worker processes for tests: started with the command that operators use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyagent_orch import Orchestrator

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
AGENTS = "support.fleet_agents"
"""The module whose agents every test worker has."""


class Worker:
    """One `celery -A workers.celery_app worker` process (and its pool)."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self.log = name, process, log
        self.hung = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill_group(self) -> None:
        """SIGKILL for the parent and all its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def thaw(self) -> None:
        """SIGCONT for the parent and all its children."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM, then SIGKILL for what is left; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            # Has the stacks of all threads written to the log (PYTHONFAULTHANDLER).
            self.process.send_signal(signal.SIGABRT)
            code = self.process.wait(10)
            self.hung = f"{self.name} did not stop within {timeout} s:\n{self.text()[-6000:]}"
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        return code

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Fleet:
    """The workers of one test, on one namespace of one server."""

    def __init__(self, url: str, namespace: str, directory: Path) -> None:
        self.url, self.namespace, self.directory = url, namespace, directory
        self.workers: list[Worker] = []
        self.orchestrator = Orchestrator(redis_url=url, namespace=namespace)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")},
            "PYAGENT_ORCH_REDIS_URL": self.url,
            "PYAGENT_ORCH_NAMESPACE": self.namespace,
            "PYAGENT_ORCH_AGENTS": AGENTS,
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
            **(extra or {}),
        }

    def start(
        self,
        pool: str = "prefork",
        concurrency: int = 2,
        *options: str,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Worker:
        """Start a worker; by default wait until it has its lease."""
        name = f"w{len(self.workers) + 1}-{self.namespace}"
        log = self.directory / f"{name}.log"
        command = [
            sys.executable, "-m", "celery", "-A", "workers.celery_app", "worker",
            "-P", pool, "-c", str(concurrency), "-n", f"{name}@%h", "-l", "INFO", *options,
        ]  # fmt: skip
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.directory, env=self.environment(env), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        worker = Worker(name, process, log)
        self.workers.append(worker)
        if wait:
            try:
                until(lambda: any(n.startswith(name) for n in self.orchestrator.workers()), 30)
                # The lease comes first, and who asks or stops a worker may be faster.
                until(lambda: " ready." in worker.text(), 30)
            except AssertionError:
                raise AssertionError(f"{name} did not start:\n{worker.text()[-3000:]}") from None
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self.workers:
            worker.stop()
        self.orchestrator.close()
        hung = [worker.hung for worker in self.workers if worker.hung]
        assert not hung, "\n".join(hung)


def until(condition: Callable[[], Any], timeout: float = 10, pause: float = 0.02) -> Any:
    """Poll what sends no event until it is true; returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout} s")
        time.sleep(pause)
