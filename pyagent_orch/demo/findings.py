"""What the results of all files say together, and how the run went.

Part of the demo, on the layer of the edges; pure. Filled by `runner.py`, told by
`report.py` and `terminal.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from pyagent_orch.demo.results import BrokenLink, FileReport, Function, Marker
from pyagent_orch.states import TaskStatus

KIND_TITLES = {"prose": "prose", "python": "Python", "text": "other text"}


@dataclass(frozen=True)
class FileRun:
    """One file's task, when it is final."""

    path: str
    task_id: str
    status: TaskStatus
    attempts: int
    seconds: float | None
    """From the start of the first attempt to the end; None if it never started."""
    worker: str | None
    report: FileReport | None
    """None unless the task completed."""
    error: str | None = None

    @classmethod
    def of_report(cls, report: FileReport) -> FileRun:
        """A run of which only the report is known."""
        return cls(report.path, "", TaskStatus.COMPLETED, 1, None, None, report)


@dataclass(frozen=True)
class KindTotal:
    """All files of one kind together."""

    title: str
    files: int
    lines: int
    size_bytes: int


@dataclass(frozen=True)
class RunFigures:
    """How the run went."""

    tasks: int
    completed: int
    retried: int
    """Tasks that needed more than one attempt."""
    workers: tuple[str, ...]
    wall_seconds: float
    median_seconds: float
    slowest: FileRun | None

    @property
    def failed(self) -> int:
        """Tasks that ended in another state than COMPLETED."""
        return self.tasks - self.completed

    @property
    def tasks_per_second(self) -> float:
        """Over the whole run, from the submit to the last result."""
        return self.tasks / self.wall_seconds if self.wall_seconds else 0.0


class Findings:
    """The results of all files; does not change once built.

    Args:
        folder: what was read, as people know it.
        runs: one for each file, in the order of the report.
        skipped: maps a reason to the number of files and folders left out for it.
    """

    def __init__(self, folder: str, runs: Iterable[FileRun], skipped: dict[str, int]) -> None:
        self.folder = folder
        self.runs = tuple(runs)
        self.skipped = skipped
        self.reports = tuple(run.report for run in self.runs if run.report is not None)

    @cached_property
    def failures(self) -> tuple[FileRun, ...]:
        """The files whose tasks did not complete."""
        return tuple(run for run in self.runs if run.status is not TaskStatus.COMPLETED)

    @cached_property
    def totals(self) -> tuple[KindTotal, ...]:
        """One for each kind of which there are files."""
        totals = []
        for kind, title in KIND_TITLES.items():
            of_kind = [report for report in self.reports if report.kind == kind]
            if of_kind:
                lines = sum(report.lines for report in of_kind)
                size = sum(report.size_bytes for report in of_kind)
                totals.append(KindTotal(title, len(of_kind), lines, size))
        return tuple(totals)

    @property
    def words(self) -> int:
        """Words of all prose."""
        return sum(report.prose.words for report in self.reports if report.prose)

    @property
    def reading_minutes(self) -> float:
        """Minutes to read all prose."""
        return sum(report.prose.reading_minutes for report in self.reports if report.prose)

    @cached_property
    def broken_links(self) -> tuple[tuple[str, BrokenLink], ...]:
        """Each broken link with its file."""
        return tuple(
            (report.path, link)
            for report in self.reports
            if report.prose
            for link in report.prose.broken_links
        )

    @cached_property
    def markers(self) -> tuple[tuple[str, Marker], ...]:
        """Each note of something left to do with its file."""
        return tuple((report.path, marker) for report in self.reports for marker in report.markers)

    @cached_property
    def defects(self) -> tuple[tuple[str, str], ...]:
        """Each syntax error and trouble with characters, with its file."""
        return tuple(
            (report.path, defect)
            for report in self.reports
            for defect in [
                *([report.syntax_error] if report.syntax_error else []),
                *report.troubles,
            ]
        )

    @cached_property
    def hardest_prose(self) -> tuple[tuple[str, float], ...]:
        """Each text with its reading ease, hardest first."""
        eases = [
            (report.path, report.prose.flesch)
            for report in self.reports
            if report.prose and report.prose.flesch is not None
        ]
        return tuple(sorted(eases, key=lambda ease: ease[1]))

    @cached_property
    def terms(self) -> dict[str, int]:
        """Maps the words that tell most of the whole folder to their count."""
        counts: Counter[str] = Counter()
        for report in self.reports:
            if report.prose:
                counts.update(report.prose.terms)
        return dict(counts.most_common(12))

    @cached_property
    def most_complex(self) -> tuple[tuple[str, Function], ...]:
        """Each file's most complex function, most complex first."""
        found = [
            (report.path, report.python.most_complex)
            for report in self.reports
            if report.python and report.python.most_complex
        ]
        return tuple(sorted(found, key=lambda entry: -entry[1].complexity))

    @cached_property
    def longest(self) -> tuple[tuple[str, Function], ...]:
        """Each file's longest function, longest first."""
        found = [
            (report.path, report.python.longest)
            for report in self.reports
            if report.python and report.python.longest
        ]
        return tuple(sorted(found, key=lambda entry: -entry[1].lines))

    @cached_property
    def undocumented(self) -> tuple[tuple[str, list[str], int], ...]:
        """Each Python file, its names without a docstring, and how many want one; worst first."""
        found = [
            (report.path, report.python.undocumented, report.python.public_names)
            for report in self.reports
            if report.python and report.python.undocumented
        ]
        return tuple(sorted(found, key=lambda entry: -len(entry[1])))

    @cached_property
    def documented_share(self) -> float | None:
        """The share of public Python names with a docstring, 0 to 1; None if there are none."""
        wanted = sum(report.python.public_names for report in self.reports if report.python)
        missing = sum(len(names) for _, names, _ in self.undocumented)
        return 1 - missing / wanted if wanted else None

    @cached_property
    def packages(self) -> dict[str, int]:
        """Maps packages from elsewhere to the number of files that use them, most used first."""
        counts: Counter[str] = Counter()
        own = {part for report in self.reports for part in Path(report.path).with_suffix("").parts}
        own.add(Path(self.folder).name)
        for report in self.reports:
            if report.python:
                counts.update(set(report.python.other_imports) - own)
        return dict(counts.most_common(15))

    @cached_property
    def largest(self) -> tuple[FileReport, ...]:
        """The files with the most lines first."""
        return tuple(sorted(self.reports, key=lambda report: (-report.lines, report.path)))

    def figures(self, wall_seconds: float) -> RunFigures:
        """How the run went.

        Args:
            wall_seconds: from the submit to the last result.
        """
        timed = [run for run in self.runs if run.seconds is not None]
        seconds = [run.seconds for run in timed if run.seconds is not None]
        return RunFigures(
            tasks=len(self.runs),
            completed=len(self.runs) - len(self.failures),
            retried=sum(run.attempts > 1 for run in self.runs),
            workers=tuple(sorted({run.worker for run in self.runs if run.worker})),
            wall_seconds=wall_seconds,
            median_seconds=median(seconds) if seconds else 0.0,
            slowest=max(timed, key=lambda run: run.seconds or 0.0, default=None),
        )


def digest(findings: Findings, *, most: int = 5) -> str:
    """The findings in a few lines, as a model is given them.

    Args:
        findings: of all files.
        most: how many examples of each kind are given, >= 1.
    """
    lines = [f"Folder: {findings.folder}"]
    lines += [
        f"{total.title}: {total.files} files, {total.lines} lines, {total.size_bytes} bytes"
        for total in findings.totals
    ]
    lines.append(f"Most frequent words: {', '.join(findings.terms)}")
    lines.append(f"Packages used: {', '.join(findings.packages)}")
    largest = (f"{report.path} ({report.lines} lines)" for report in findings.largest[:most])
    lines.append(f"Largest files: {', '.join(largest)}")
    sections = {
        "Broken links": [
            f"{path}:{link.line} {link.target}" for path, link in findings.broken_links
        ],
        "Defects": [f"{path}: {defect}" for path, defect in findings.defects],
        "Left to do": [f"{path}:{mark.line} {mark.text}" for path, mark in findings.markers],
        "Most complex functions": [
            f"{path}:{function.line} {function.name} (complexity {function.complexity})"
            for path, function in findings.most_complex
        ],
        "Hardest to read": [f"{path} (Flesch {ease})" for path, ease in findings.hardest_prose],
        "Without docstrings": [
            f"{path} ({len(names)})" for path, names, _ in findings.undocumented
        ],
        "Could not be read": [f"{run.path}: {run.error}" for run in findings.failures],
    }
    for title, entries in sections.items():
        if entries:
            lines.append(f"{title} ({len(entries)} in all):")
            lines += [f"- {entry[:200]}" for entry in entries[:most]]
    return "\n".join(lines)
