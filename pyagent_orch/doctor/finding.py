"""What a check says: a finding with its severity, and the case that it judges.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pyagent_orch.config import Settings
from pyagent_orch.store.inspect import NamespaceFacts, ServerFacts

_NAMED = 5


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """Nothing to do."""
    WARNING = "warning"
    """It works, and something may be lost, late or in danger one day."""
    ERROR = "error"
    """Tasks do not run, may get lost, or strangers may get in."""

    @property
    def rank(self) -> int:
        """0 for `ok`, 1 for a warning, 2 for an error."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. Every check gives one, also when all is well."""

    id: str
    """The check, `subject.aspect`; stable, for monitoring."""
    severity: Severity
    what: str
    """What is so, with the names and numbers."""
    remedy: str = ""
    """What to do; empty when there is nothing to do."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.id}: {self.what}" + (
            f" -> {self.remedy}" if self.remedy else ""
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding before it has its id."""

    severity: Severity
    what: str
    remedy: str = ""


def fine(what: str) -> Verdict:
    """Nothing to do."""
    return Verdict(Severity.OK, what)


def warning(what: str, remedy: str) -> Verdict:
    """Something to see to."""
    return Verdict(Severity.WARNING, what, remedy)


def error(what: str, remedy: str) -> Verdict:
    """Something to see to now."""
    return Verdict(Severity.ERROR, what, remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """The highest severity among findings; `ok` without any."""
    return max((one.severity for one in findings), key=lambda one: one.rank, default=Severity.OK)


@dataclass(frozen=True)
class Case:
    """All that the checks know."""

    settings: Settings
    """Those of whoever asks."""
    server: ServerFacts
    namespace: NamespaceFacts
    embedded: bool = False
    """Whether the server is the private one of this process."""
    lasting: bool = False
    """Embedded: whether the state is meant to outlive the process."""
    roll: Mapping[str, Sequence[str]] | None = None
    """Maps the Celery workers that answered to their queues; None when nobody was asked."""
    here: Mapping[str, str] = field(default_factory=dict)
    """This process's `version`, `celery` and `python`."""
    agents: frozenset[str] = frozenset()
    """The agents that this process has registered."""
    pid: int = 0
    """This process, and with it the worker of the embedded mode."""


def some(names: Iterable[str]) -> str:
    """A few names in full, and how many more there are."""
    ordered = sorted(set(names))
    rest = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def count(number: int, noun: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def span(seconds: float) -> str:
    """A length of time in one figure: `0.3 s`, `45 s`, `3 min`, `2 h`, `4 d`."""
    seconds = abs(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004 - one digit


def size(number: float) -> str:
    """A number of bytes: `512 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:  # noqa: PLR2004 - SI
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
