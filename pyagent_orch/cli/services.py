"""What `pyagent-orch up` runs: the one table of services.

Command line. A service is a command of this program; it runs when the command is there and
the extra that it needs is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from pyagent_orch.cli.program import COMMANDS


@dataclass(frozen=True, slots=True)
class Service:
    """A program of the stack."""

    name: str
    """The command, and the service's name for people."""
    needs: str = ""
    """A module that its extra brings; empty for none."""
    port: int = 0
    """Where it listens if nobody says otherwise; 0: it does not."""
    path: str = ""
    """What of its pages answers without a login, once it is ready."""

    @property
    def is_here(self) -> bool:
        """Whether it can be run."""
        installed = not self.needs or importlib.util.find_spec(self.needs) is not None
        return self.name in COMMANDS and installed

    def words(self, port: int) -> Sequence[str]:
        """Its command."""
        return [self.name, *(["--port", str(port)] if self.port else [])]


SERVICES = (
    Service("worker"),
    Service("beat"),
    Service("flower", needs="flower", port=5555, path="/healthcheck"),
    Service("metrics", needs="prometheus_client", port=9464, path="/metrics"),
    Service("dashboard", needs="fastapi", port=8700, path="/"),
)
