"""Logs of a command: warnings on stderr, more with `--verbose`, always escaped.

Command line, standard library only.
"""

from __future__ import annotations

import logging

from pyagent_orch.escape import escape


class _Escaping(logging.Formatter):
    """A log line may quote what a stranger wrote."""

    def format(self, record: logging.LogRecord) -> str:
        return escape(super().format(record), lines=True)


def start_logging() -> None:
    """Send warnings of all libraries to stderr; once per process."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Escaping("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def show_more() -> None:
    """Show what the package does, step by step, and what its libraries think worth telling."""
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("pyagent_orch").setLevel(logging.DEBUG)
