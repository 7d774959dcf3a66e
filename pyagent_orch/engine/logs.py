"""The log of a worker or beat: as text or as JSON lines, each with the task that it is about.

Celery sets its handlers up; here they get what belongs to us. What is logged while a
task runs has its ids, whoever logs it, in whichever thread of the run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import Celery, signals

from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.escape import escape, one_line
from pyagent_orch.exceptions import ConfigurationError

FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s%(run)s] %(message)s"
"""Celery's own, and the ids of the run."""


@dataclass(frozen=True, slots=True)
class RunNote:
    """Which run the code at hand belongs to."""

    task_id: str
    worker: str
    task_name: str = ""
    workflow_id: str = ""
    attempt: int = 0
    """0 until the task is claimed."""

    def __str__(self) -> str:
        workflow = f" workflow={self.workflow_id}" if self.workflow_id else ""
        attempt = f" attempt={self.attempt}" if self.attempt else ""
        return f" task={self.task_id}{workflow}{attempt}"


_running: ContextVar[RunNote | None] = ContextVar("pyagent_orch_run_note", default=None)


@contextmanager
def noted(note: RunNote) -> Iterator[None]:
    """Have what is logged in this block, and in the threads that inherit its context, say so."""
    token = _running.set(note)
    try:
        yield
    finally:
        _running.reset(token)


class RunIds(logging.Filter):
    """Gives each record the ids of the run that it is made in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, with its ids."""
        note = _running.get()
        record.run = escape(str(note or ""))
        if note is not None:
            record.worker, record.task_id, record.task_name = (
                note.worker, note.task_id, note.task_name
            )  # fmt: skip
            if note.workflow_id:
                record.workflow_id = note.workflow_id
            if note.attempt:
                record.attempt = note.attempt
            return True
        # Celery's own lines about a task, before and after it runs.
        data = getattr(record, "data", None)
        if isinstance(data, dict) and "id" in data:
            record.task_id, record.task_name = data["id"], data.get("name")
        return True


class HarmlessText(logging.Filter):
    """Escapes what an agent, a model or a submitter put into a log line.

    A worker's log goes to terminals, which obey control characters.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, with its text and its traceback escaped."""
        if isinstance(record.args, Mapping) and "name" in record.args:
            # Celery's own lines about a task: its name must not begin a line of its own.
            record.args = {**record.args, "name": one_line(str(record.args["name"]))}
        record.msg, record.args = escape(record.getMessage(), lines=True), ()
        if record.exc_info and not record.exc_text:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = escape(text, lines=True)
        return True


def connect_log(app: Celery) -> None:
    """Have the log that Celery sets up for the app's worker or beat say what is ours."""

    def set_up(logger: logging.Logger | None = None, **_: Any) -> None:
        from celery.utils.log import get_multiprocessing_logger

        as_json = runtime_of(app).settings.log_format == "json"
        for one in (logger, get_multiprocessing_logger()):
            for handler in one.handlers if one is not None else ():
                _dress(handler, as_json=as_json)

    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(set_up, weak=False, dispatch_uid="pyagent_orch:log")


def _dress(handler: logging.Handler, *, as_json: bool) -> None:
    for kind in (RunIds, HarmlessText):
        if not any(isinstance(one, kind) for one in handler.filters):
            handler.addFilter(kind())
    if as_json:
        handler.setFormatter(json_lines())


def json_lines() -> logging.Formatter:
    """One JSON object a line: time, level, logger, message, ids, and what `extra=` brought.

    Raises:
        ConfigurationError: its library is not installed.
    """
    try:
        from pythonjsonlogger.core import RESERVED_ATTRS
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        raise ConfigurationError(
            "PYAGENT_ORCH_LOG_FORMAT",
            "json needs a library that is not installed; pip install 'pyagent-orch[logs]'",
        ) from None
    return JsonFormatter(
        "%(levelname)s %(name)s %(processName)s %(message)s",
        rename_fields={
            "levelname": "level",
            "name": "logger",
            "processName": "process",
            "exc_info": "exception",
        },
        timestamp="time",
        # `data` is Celery's own copy of a task's input, output and traceback.
        reserved_attrs=[*RESERVED_ATTRS, "run", "data"],
    )
