"""Worker and beat processes: starting, ending, and what they use.

Only processes that were started here are touched, by their group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS, STOP_SECONDS = 60.0, 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class WorkerProcess:
    """A worker and its pool, or a beat, in a process group of their own.

    Args:
        arguments: what stands behind `python`.
        environment: variables on top of this process's own.
        log: where its output goes.
        python: which; this process's own when not given.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        python: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [python or sys.executable, *arguments],
                # Not the checkout: a worker must not find anything by accident.
                cwd=log.parent,
                env=clean_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        """The worker's pid, then those of its pool; only the first where /proc is missing."""
        group = self._process.pid
        found = [group]
        for entry in Path("/proc").glob("[0-9]*/stat"):
            fields = _stat(entry)
            if fields and int(fields[2]) == group and int(entry.parent.name) != group:
                found.append(int(entry.parent.name))
        return found

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until it does its work.

        Raises:
            RuntimeError: it does not, or it has ended; with the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"It did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far; 0 where /proc is missing."""
        ticks = 0
        for pid in self.pids:
            fields = _stat(Path(f"/proc/{pid}/stat"))
            ticks += int(fields[11]) + int(fields[12]) if fields else 0
        return ticks / _TICKS

    def memory(self, *, pool_only: bool = False) -> int:
        """Bytes of memory of its processes, shared pages split; 0 where /proc is missing.

        Args:
            pool_only: without the first process, which only hands out what the others run.
        """
        total = 0
        for pid in self.pids[int(pool_only) :]:
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += 1024 * int(text.partition("\nPss:")[2].split()[0])
        return total

    def kill(self) -> None:
        """SIGKILL for all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _stat(path: Path) -> list[str]:
    """The fields of a process's /proc/<pid>/stat behind its name; empty when it is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anybody's settings of ours, and with `extra`."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith("PYAGENT_ORCH_")}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def celery_arguments(app: str, pool: str, concurrency: int) -> list[str]:
    """The command line of a Celery worker: the same for every app.

    Args:
        app: the app's module.
        pool: Celery's word for it.
        concurrency: slots of the pool.
    """
    size = ["-P", pool, "-c", str(concurrency)]
    return ["-m", "celery", "-A", app, "worker", *size, "-l", "WARNING"]


def beat_arguments(app: str) -> list[str]:
    """The command line of Celery's beat: the same for every app.

    Args:
        app: the app's module.
    """
    return ["-m", "celery", "-A", app, "beat", "-l", "WARNING"]
