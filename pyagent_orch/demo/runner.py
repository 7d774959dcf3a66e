"""Runs the demo: one task for each file, one for the editor, and the report.

Part of the demo, on the layer of the edges: uses the facade as any user would.
"""

from __future__ import annotations

import json as json_format
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pyagent_orch.agents import agent
from pyagent_orch.config import Settings
from pyagent_orch.demo.files import Collection, collect, default_folder
from pyagent_orch.demo.findings import FileRun, Findings, RunFigures, digest
from pyagent_orch.demo.readers import EDITOR, read_text_file
from pyagent_orch.demo.report import count, make_report, size
from pyagent_orch.demo.results import FileReport
from pyagent_orch.demo.terminal import progress, say, show_summary
from pyagent_orch.exceptions import PyAgentOrchError, TaskTimeoutError
from pyagent_orch.models.tasks import Task
from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.states import TaskStatus

REPORT = Path("demo-report") / "report.md"
"""Where the report is written, relative to the current folder."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

_FILE_TIMEOUT_SECONDS = 60.0
_EDITOR_TIMEOUT_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_CANCEL_SECONDS = 3.0


def run_demo(
    folder: Path | None = None,
    *,
    orchestrator: Orchestrator | None = None,
    json: bool = False,
    report_file: Path = REPORT,
) -> int:
    """Read a folder of text with agents and report what is in it.

    Args:
        folder: what to read; the project's own docs and sources by default.
        orchestrator: who runs the tasks; it is left open. Its workers must see the same
            disk and have `pyagent_orch.demo.readers` among their agents. By default a
            private one, whatever PYAGENT_ORCH_REDIS_URL says: a demo does not meddle with a fleet.
        json: print one JSON document instead of text.
        report_file: where the Markdown report goes.

    Returns:
        The exit code: 0; 1 if there is nothing to read, a task failed or the report cannot be
        written; 130 after Ctrl-C.

    Raises:
        ConfigurationError: the folder does not exist.
        PyAgentOrchError: the tasks cannot be run here.
    """
    collection = collect(folder if folder is not None else default_folder())
    if not collection.files:
        print(f"There is no text to read in {collection.folder}.", file=sys.stderr)
        return 1
    own = Orchestrator(settings=_private_settings()) if orchestrator is None else None
    used = orchestrator or own
    assert used is not None
    try:
        return _Demo(used, collection, is_quiet=json).run(report_file)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    finally:
        if own is not None:
            own.close()


def _private_settings() -> Settings:
    return Settings.from_env().model_copy(update={"redis_url": None})


class _Demo:
    """One run of the demo."""

    def __init__(
        self, orchestrator: Orchestrator, collection: Collection, *, is_quiet: bool
    ) -> None:
        self._orchestrator = orchestrator
        self._collection = collection
        self._is_quiet = is_quiet

    def run(self, report_file: Path) -> int:
        collection = self._collection
        if not self._is_quiet:
            files = count(len(collection.files), "file")
            say(f"Reading {files} ({size(collection.size_bytes)}) in {collection.folder}")
        # The start of a private server and worker is not the tasks' time.
        self._orchestrator.start()
        started = time.monotonic()
        tasks = self._orchestrator.submit_many(self._file_tasks())
        try:
            self._watch(tasks)
        except KeyboardInterrupt:
            self._cancel(tasks)
            raise
        wall_seconds = time.monotonic() - started
        runs = [
            _file_run(file.path, task) for file, task in zip(collection.files, tasks, strict=True)
        ]
        findings = Findings(str(collection.folder), runs, collection.skipped_by_reason())
        figures = findings.figures(wall_seconds)
        summary, is_summed_up = self._sum_up(findings)
        made_at = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
        is_written = _write(report_file, make_report(findings, figures, summary, made_at))
        if self._is_quiet:
            print(_as_json(findings, figures, summary, report_file if is_written else None))
        else:
            show_summary(findings, figures, summary)
            if is_written:
                say(f"The whole report: {report_file}")
        return 0 if is_summed_up and is_written and not findings.failures else 1

    def _file_tasks(self) -> list[Task]:
        return [
            Task(
                read_text_file,
                {"folder": str(self._collection.folder), "path": file.path},
                name=f"read {file.path}"[:200],
                timeout=_FILE_TIMEOUT_SECONDS,
            )
            for file in self._collection.files
        ]

    def _watch(self, tasks: Sequence[Task]) -> None:
        """Wait for all tasks and show how far they are; the listener keeps them up to date."""
        waiting = list(tasks)
        with progress(len(tasks)) as advance:
            while waiting:
                with suppress(TaskTimeoutError):
                    self._orchestrator.wait(*waiting, timeout=_LOOK_SECONDS)
                waiting = [task for task in waiting if not _is_final(task)]
                if not self._is_quiet:
                    running = next((task.name for task in waiting if _is_running(task)), "")
                    advance(len(tasks) - len(waiting), running.removeprefix("read "))

    def _sum_up(self, findings: Findings) -> tuple[str, bool]:
        """Ask the editor; returns its words, or why there are none, and whether it answered."""
        task = self._orchestrator.submit(
            agent(EDITOR, name="demo editor"),
            digest(findings),
            name="sum up",
            timeout=_EDITOR_TIMEOUT_SECONDS,
        )
        try:
            return str(task.result()), True
        except KeyboardInterrupt:
            self._cancel([task])
            raise
        except PyAgentOrchError as error:
            return f"The model gave no summary: {error}", False

    def _cancel(self, tasks: Sequence[Task]) -> None:
        """Cancel what has not run yet, so that a fleet does not go on with it.

        A private worker needs no word: it ends with the demo.
        """
        if self._orchestrator.is_embedded:
            return
        deadline = time.monotonic() + _CANCEL_SECONDS
        for task in reversed(tasks):
            if time.monotonic() > deadline:
                return
            if not _is_final(task):
                with suppress(PyAgentOrchError):
                    self._orchestrator.cancel(task.id, reason="the demo was stopped")


def _write(report_file: Path, report: str) -> bool:
    """Write the report; an hour of work is not thrown away because there is no place for it."""
    try:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(report, encoding="utf-8")
    except OSError as error:
        print(f"Cannot write {report_file}: {error.strerror}.", file=sys.stderr)
        return False
    return True


def _is_final(task: Task) -> bool:
    return task.record is not None and task.record.status.is_final


def _is_running(task: Task) -> bool:
    return task.record is not None and task.record.status is TaskStatus.RUNNING


def _file_run(path: str, task: Task) -> FileRun:
    seconds = None
    if task.started_at is not None and task.completed_at is not None:
        seconds = (task.completed_at - task.started_at).total_seconds()
    is_complete = task.status is TaskStatus.COMPLETED
    return FileRun(
        path=path,
        task_id=task.id,
        status=task.status,
        attempts=task.attempts,
        seconds=seconds,
        worker=task.worker,
        report=FileReport.model_validate(task.output) if is_complete else None,
        error=task.error,
    )


def _as_json(
    findings: Findings, figures: RunFigures, summary: str, report_file: Path | None
) -> str:
    def plain(run: FileRun) -> dict[str, object]:
        return asdict(run) | {"report": run.report.model_dump(mode="json") if run.report else None}

    whole = asdict(figures) | {"failed": figures.failed}
    if figures.slowest is not None:
        whole["slowest"] = figures.slowest.path
    return json_format.dumps(
        {
            "folder": findings.folder,
            "summary": summary,
            "figures": whole,
            "skipped": findings.skipped,
            "files": [plain(run) for run in findings.runs],
            "report_file": str(report_file) if report_file is not None else None,
        },
        ensure_ascii=False,
    )
