"""Runs the demo: a research pipeline over files, and its report.

Gather (list the files), read (one task for each, decided at run time), analyse, write.

Part of the demo, on the layer of the edges: uses the facade as any user would.
"""

from __future__ import annotations

import json as json_format
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pyagent_orch.agents import agent
from pyagent_orch.config import Settings
from pyagent_orch.demo.files import Collection, collect, default_folder
from pyagent_orch.demo.findings import FileRun, Findings, RunFigures
from pyagent_orch.demo.readers import ANALYST, EDITOR, GATHERER, READER
from pyagent_orch.demo.report import count, make_report, size
from pyagent_orch.demo.results import FileReport
from pyagent_orch.demo.terminal import progress, say, show_summary
from pyagent_orch.exceptions import PyAgentOrchError, TaskTimeoutError
from pyagent_orch.models.tasks import Task
from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.states import TaskStatus, WorkflowStatus
from pyagent_orch.workflows import Workflow

REPORT = Path("demo-report") / "report.md"
"""Where the report is written, relative to the current folder."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

_FILE_TIMEOUT_SECONDS = 60.0
_EDITOR_TIMEOUT_SECONDS = 120.0
_LOOK_SECONDS = 0.1


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
        workflow = self._pipeline()
        if not self._is_quiet:
            files = count(len(collection.files), "file")
            say(f"Reading {files} ({size(collection.size_bytes)}) in {collection.folder}")
            say(workflow.explain())
        # The start of a private server and worker is not the tasks' time.
        self._orchestrator.start()
        started = time.monotonic()
        self._orchestrator.submit_workflow(workflow)
        try:
            self._watch(workflow)
        except KeyboardInterrupt:
            self._cancel(workflow)
            raise
        wall_seconds = time.monotonic() - started
        runs = self._file_runs(workflow)
        findings = Findings(str(collection.folder), runs, collection.skipped_by_reason())
        figures = findings.figures(wall_seconds)
        is_written_up = workflow.status is WorkflowStatus.COMPLETED
        summary = (
            str(workflow.output)
            if is_written_up
            else f"The model gave no summary: {workflow.error}"
        )
        made_at = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
        is_written = _write(report_file, make_report(findings, figures, summary, made_at))
        if self._is_quiet:
            print(_as_json(findings, figures, summary, report_file if is_written else None))
        else:
            show_summary(findings, figures, summary)
            if is_written:
                say(f"The whole report: {report_file}")
        return 0 if is_written_up and is_written and not findings.failures else 1

    def _pipeline(self) -> Workflow:
        """What is done, and what waits for what."""
        gather = Task(GATHERER, str(self._collection.folder), name="gather")
        # A file that cannot be read is told in the report; the others go on.
        read = Task(READER, name="read", map=gather, need="settled", timeout=_FILE_TIMEOUT_SECONDS)
        analyse = Task(ANALYST, lambda: read.output, name="analyse")
        write = Task(
            agent(EDITOR, name="demo editor", include_context=False),
            lambda: analyse.output,
            name="write",
            timeout=_EDITOR_TIMEOUT_SECONDS,
        )
        return Workflow("research", [gather, read, analyse, write], {"analyse": ["gather"]})

    def _watch(self, workflow: Workflow) -> None:
        """Wait for the workflow and show how far it is."""
        # Besides the files: gather, read itself, analyse, write.
        others = len(workflow.tasks)
        with progress(len(self._collection.files)) as advance:
            while True:
                with suppress(TaskTimeoutError):
                    self._orchestrator.wait(workflow, timeout=_LOOK_SECONDS)
                record = workflow.record
                if record is None or record.status.is_final:
                    return
                if not self._is_quiet:
                    share = workflow.progress
                    total = len(self._collection.files) + others
                    advance(max(0, round(share * total) - 1), "")

    def _file_runs(self, workflow: Workflow) -> list[FileRun]:
        """The runs of the files, in their order; they are turns of the task `read`."""
        turns = {task.name: task for task in self._orchestrator.get_workflow(workflow.id).tasks}
        found: list[FileRun] = []
        for place, file in enumerate(self._collection.files):
            turn = turns.get(f"read[{place}]")
            found.append(_file_run(file.path, turn if turn is not None else workflow.tasks[1]))
        return found

    def _cancel(self, workflow: Workflow) -> None:
        """Cancel what has not run yet, so that a fleet does not go on with it.

        A private worker needs no word: it ends with the demo.
        """
        if not self._orchestrator.is_embedded:
            with suppress(PyAgentOrchError):
                self._orchestrator.cancel(workflow.id, reason="the demo was stopped")


def _write(report_file: Path, report: str) -> bool:
    """Write the report; an hour of work is not thrown away because there is no place for it."""
    try:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(report, encoding="utf-8")
    except OSError as error:
        print(f"Cannot write {report_file}: {error.strerror}.", file=sys.stderr)
        return False
    return True


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
