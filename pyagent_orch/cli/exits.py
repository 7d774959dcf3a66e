"""The exit codes of the command line; scripts rely on them, see `docs/cli.md`.

Command line, pure.
"""

from __future__ import annotations

from enum import IntEnum

from pyagent_orch.states import TaskStatus


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    """All that was asked for is done; a task that was waited for completed."""
    FAILED = 1
    """The task that was waited for failed, or `cancel` came too late; `doctor` found
    something to warn of."""
    ERROR = 2
    """Wrong usage, or an error that is told in one line: nothing there, out of reach, refused;
    `doctor` found an error."""
    CANCELLED = 3
    """The task that was waited for was cancelled."""
    SKIPPED = 4
    """The task that was waited for was skipped."""
    STILL_RUNNING = 5
    """`--wait-timeout` passed; the task goes on."""
    BUG = 70
    """An error that nobody foresaw; `--verbose` shows where."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Whoever read the output went away, as `head` does."""


class ReaderGoneError(Exception):
    """Whoever read the output went away.

    Not the `BrokenPipeError` that it began with, which click ends the process for by itself.
    """


OF_STATUS = {
    TaskStatus.COMPLETED: Exit.OK,
    TaskStatus.FAILED: Exit.FAILED,
    TaskStatus.CANCELLED: Exit.CANCELLED,
    TaskStatus.SKIPPED: Exit.SKIPPED,
}
"""Maps a final state to the exit code of a command that waited for it."""
