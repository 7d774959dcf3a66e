"""What the demo shows on a terminal: the progress, and a short summary.

Part of the demo, on the layer of the edges. With rich, if it is installed; in
plain lines otherwise. Names of files and a model's text may hold anything, so
nothing of them is taken for markup or reaches the terminal as control characters.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyagent_orch.demo.findings import Findings, RunFigures
from pyagent_orch.demo.report import count, reading_ease_in_words, size

Advance = Callable[[int, str], None]
"""Tells the progress: how many tasks are final, and what runs now."""


def has_rich() -> bool:
    """Whether the extra for colour and tables is installed."""
    return importlib.util.find_spec("rich") is not None


def printable(text: str) -> str:
    """Replace what could steer a terminal; line ends stay."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def say(line: str = "") -> None:
    """Print one line at once."""
    print(printable(line), flush=True)


@contextmanager
def progress(total: int, *, interval_seconds: float = 2.0) -> Iterator[Advance]:
    """Show how far the tasks are: a bar on a terminal with rich, else a line now and then.

    Args:
        total: how many tasks there are.
        interval_seconds: between two lines, >= 0.
    """
    if sys.stdout.isatty() and has_rich():
        with _bar(total) as fill:
            yield fill
        return
    last = time.monotonic()

    def advance(done: int, running: str) -> None:
        nonlocal last
        if time.monotonic() - last >= interval_seconds and done < total:
            last = time.monotonic()
            say(f"{done:,} of {total:,} files read{f', now {running}' if running else ''}")

    yield advance


@contextmanager
def _bar(total: int) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    bar = Progress(
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[running]}", markup=False, table_column=Column(no_wrap=True)),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total, running="")
        yield lambda done, running: bar.update(task, completed=done, running=printable(running))


def show_summary(findings: Findings, figures: RunFigures, summary: str) -> None:
    """Print the summary: an overview, what is most worth a look, the model's words, the run."""
    notes = worth_a_look(findings)
    if has_rich():
        _show_rich(findings, notes, summary)
    else:
        _show_plain(findings, notes, summary)
    say()
    say(_run_line(figures))


def worth_a_look(findings: Findings) -> list[tuple[str, str]]:
    """The few findings that come first, each with a title: at most one line of each sort."""
    notes: list[tuple[str, str]] = []

    def note(title: str, entries: list[str]) -> None:
        if entries:
            more = f" (and {len(entries) - 1:,} more)" if len(entries) > 1 else ""
            notes.append((title, entries[0] + more))

    note("not read", [f"{run.path}: {run.error}" for run in findings.failures])
    note(
        "broken link",
        [f"{path}:{link.line} -> {link.target}" for path, link in findings.broken_links],
    )
    note("defect", [f"{path}: {defect}" for path, defect in findings.defects])
    note("left to do", [f"{path}:{mark.line} {mark.text}" for path, mark in findings.markers])
    for path, function in findings.most_complex[:1]:
        where = f"{function.name} in {path}:{function.line}"
        notes.append(("most complex", f"{where}, complexity {function.complexity}"))
    for path, ease in findings.hardest_prose[:1]:
        words = reading_ease_in_words(ease)
        notes.append(("hardest to read", f"{path}, reading ease {ease:.0f} ({words})"))
    if findings.documented_share is not None:
        notes.append(("docstrings", f"{findings.documented_share:.0%} of the public names"))
    if findings.words:
        minutes = f"{findings.reading_minutes:,.1f} minutes"
        about = ", ".join(list(findings.terms)[:6])
        notes.append(("to read", f"{findings.words:,} words, {minutes}; about {about}"))
    return notes


def _run_line(figures: RunFigures) -> str:
    failed = f"{figures.failed:,} failed" if figures.failed else "none failed"
    return (
        f"{count(figures.tasks, 'task')} on {count(len(figures.workers), 'worker')} in "
        f"{figures.wall_seconds:.1f} s, {figures.tasks_per_second:.0f} a second, {failed}."
    )


def _show_plain(findings: Findings, notes: list[tuple[str, str]], summary: str) -> None:
    say()
    for total in findings.totals:
        say(f"{total.title:12}{total.files:>7,} files{total.lines:>10,} lines"
            f"{size(total.size_bytes):>12}")  # fmt: skip
    say()
    for title, text in notes:
        say(f"{title + ':':17}{text}")
    say()
    say(summary.strip())


def _show_rich(findings: Findings, notes: list[tuple[str, str]], summary: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    overview = Table(box=SIMPLE_HEAD, title_justify="left")
    overview.add_column(Text(printable(findings.folder), style="bold"), overflow="fold")
    for name in ("files", "lines", "size"):
        overview.add_column(name, justify="right")
    for total in findings.totals:
        overview.add_row(
            total.title, f"{total.files:,}", f"{total.lines:,}", size(total.size_bytes)
        )
    console.print(overview)
    grid = Table.grid(padding=(0, 2))
    for title, text in notes:
        grid.add_row(Text(title, style="cyan"), Text(printable(text), overflow="fold"))
    console.print(grid)
    console.print()
    console.print(Panel(Text(printable(summary.strip())), title="The editor", title_align="left"))
