"""The report as Markdown: what is in the folder, what wants mending, how the run went.

Part of the demo, on the layer of the edges; pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pyagent_orch.demo.findings import Findings, RunFigures
from pyagent_orch.demo.prose import WORDS_PER_MINUTE
from pyagent_orch.demo.results import FileReport, Prose

MOST_ROWS = 15
"""A longer table is cut; the number of all rows is told."""
_DEEPEST_HEADING = 3
"""Deeper headings hide the outline."""

_FLESCH_WORDS = (
    (80, "easy"),
    (60, "plain English"),
    (50, "fairly difficult"),
    (30, "difficult"),
    (-1000, "very difficult"),
)


def make_report(findings: Findings, figures: RunFigures, summary: str, made_at: str) -> str:
    """Write the report.

    Args:
        findings: of all files.
        figures: of the run.
        summary: what the model said.
        made_at: date and time, for the reader.

    Returns:
        Markdown that ends in a line end.
    """
    parts = [
        f"# What is in {code(findings.folder)}",
        f"{_in_short(findings, figures)} Made on {made_at} by `pyagent-orch demo`.",
        *_section("In one paragraph", [_quote(summary)]),
        *_section("Overview", _overview(findings)),
        *_section("To mend", _to_mend(findings)),
        *_section("To read", _to_read(findings)),
        *_section("Python", _python(findings)),
        *_section("The run", _the_run(findings, figures)),
    ]
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """Show a text as it is, whatever is in it; also within a table."""
    shown = re.sub(r"[\x00-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text).replace("|", "\\|")
    # Within backquotes, a fence must be longer than any run of them (CommonMark 6.1).
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def reading_ease_in_words(ease: float) -> str:
    """What a figure of Flesch's formula means, in his words."""
    return next(words for least, words in _FLESCH_WORDS if ease >= least)


def size(size_bytes: int) -> str:
    """A size for people: bytes, kB or MB."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"


def count(number: int, noun: str) -> str:
    """A number of things, such as `1 file` and `1,200 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _in_short(findings: Findings, figures: RunFigures) -> str:
    lines = sum(total.lines for total in findings.totals)
    mended = len(findings.broken_links) + len(findings.defects)
    return (
        f"{count(len(findings.reports), 'file')} with {count(lines, 'line')}, read by "
        f"{count(figures.tasks, 'task')} in "
        f"{figures.wall_seconds:.1f} s; {mended or 'no'} broken links and defects, "
        f"{len(findings.markers) or 'no'} notes of things left to do."
    )


def _section(title: str, parts: Iterable[str]) -> list[str]:
    kept = [part for part in parts if part]
    return [f"## {title}", *kept] if kept else []


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _table(columns: str, rows: Sequence[Sequence[object]], title: str = "") -> str:
    """A table with an optional title; columns that end in `:` are numbers, aligned right."""
    if not rows:
        return ""
    names = columns.split("|")
    head = [name.rstrip(":") for name in names]
    rule = ["---:" if name.endswith(":") else "---" for name in names]
    shown = [[str(cell) for cell in row] for row in rows[:MOST_ROWS]]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *shown)]
    if title:
        lines = [f"### {title}", "", *lines]
    if len(rows) > MOST_ROWS:
        lines += ["", f"... and {len(rows) - MOST_ROWS:,} more."]
    return "\n".join(lines)


def _overview(findings: Findings) -> list[str]:
    rows = [
        (total.title, f"{total.files:,}", f"{total.lines:,}", size(total.size_bytes))
        for total in findings.totals
    ]
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in findings.skipped.items())
    largest = [
        (code(report.path), report.kind, f"{report.lines:,}", size(report.size_bytes))
        for report in findings.largest[:5]
    ]
    return [
        _table("kind|files:|lines:|size:", rows),
        f"Left out: {left_out}." if left_out else "",
        _table("file|kind|lines:|size:", largest, "Largest files"),
    ]


def _to_mend(findings: Findings) -> list[str]:
    links = [
        (code(f"{path}:{link.line}"), code(link.target), link.problem)
        for path, link in findings.broken_links
    ]
    defects = [(code(path), _cell(defect)) for path, defect in findings.defects]
    markers = [
        (code(f"{path}:{marker.line}"), marker.word, _cell(marker.text))
        for path, marker in findings.markers
    ]
    failures = [
        (code(run.path), run.status.value, _cell(run.error or "")) for run in findings.failures
    ]
    return [
        _table("file|task|error", failures, "Files that could not be read"),
        _table("where|link|problem", links, "Broken links"),
        _table("file|defect", defects, "Syntax and characters"),
        _table("where|note|what", markers, "Left to do"),
    ]


def _cell(text: str) -> str:
    """Text within a table: one line, and nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))


def _to_read(findings: Findings) -> list[str]:
    texts = [(report, report.prose) for report in findings.largest if report.prose]
    texts.sort(key=lambda text: -text[1].words)
    rows = []
    for report, prose in texts:
        ease = "" if prose.flesch is None else f"{prose.flesch:.0f}"
        words = "" if prose.flesch is None else reading_ease_in_words(prose.flesch)
        terms = ", ".join(list(prose.terms)[:5])
        minutes = f"{prose.reading_minutes:.1f}"
        rows.append((code(report.path), f"{prose.words:,}", minutes, ease, words, terms))
    if not rows:
        return []
    whole = (
        f"{findings.words:,} words, {findings.reading_minutes:,.1f} minutes to read at "
        f"{WORDS_PER_MINUTE} words a minute. "
        f"The words that come most often: {', '.join(findings.terms) or 'none'}."
    )
    return [
        whole,
        _table("text|words:|minutes:|Flesch:|which is|about", rows),
        "Flesch's reading ease is made for English; higher is easier.",
        *_outlines(texts),
    ]


def _outlines(texts: Sequence[tuple[FileReport, Prose]]) -> list[str]:
    outlines = []
    for report, prose in texts:
        headings = [heading for heading in prose.headings if heading.level <= _DEEPEST_HEADING]
        if len(headings) > 1:
            least = min(heading.level for heading in headings)
            lines = [
                f"{'  ' * (heading.level - least)}- {_cell(heading.title)}"
                for heading in headings[:40]
            ]
            outlines.append("\n".join([f"**{code(report.path)}**", "", *lines]))
    if not outlines:
        return []
    return ["### Outline", *outlines[:10]]


def _python(findings: Findings) -> list[str]:
    sources = [report.python for report in findings.reports if report.python]
    if not sources:
        return []
    functions = sum(source.functions for source in sources)
    share = findings.documented_share
    documented = "" if share is None else f" {share:.0%} of the public names have a docstring."
    packages = ", ".join(f"{code(name)} ({count})" for name, count in findings.packages.items())
    complex_rows = [
        (code(function.name), code(f"{path}:{function.line}"), function.complexity, function.lines)
        for path, function in findings.most_complex[:8]
    ]
    longest_rows = [
        (code(function.name), code(f"{path}:{function.line}"), function.lines, function.complexity)
        for path, function in findings.longest[:8]
    ]
    undocumented = [
        (code(path), f"{len(names)} of {wanted}", ", ".join(code(name) for name in names[:4]))
        for path, names, wanted in findings.undocumented
    ]
    return [
        f"{count(functions, 'function')} in {count(len(sources), 'file')}.{documented}",
        f"Packages from elsewhere, with the number of files that use them: {packages}."
        if packages
        else "",
        _table("function|where|complexity:|lines:", complex_rows, "Most complex functions"),
        _table("function|where|lines:|complexity:", longest_rows, "Longest functions"),
        _table("file|without:|such as", undocumented, "Missing docstrings"),
        "Complexity is McCabe's: the independent ways through a function.",
    ]


def _the_run(findings: Findings, figures: RunFigures) -> list[str]:
    slowest = figures.slowest
    rows: list[tuple[str, str]] = [
        ("tasks", f"{figures.tasks:,}, one for each file"),
        ("completed", f"{figures.completed:,}"),
        ("failed", f"{figures.failed:,}"),
        ("needed more than one attempt", f"{figures.retried:,}"),
        ("workers", ", ".join(code(worker) for worker in figures.workers) or "none"),
        ("wall time", f"{figures.wall_seconds:.2f} s"),
        ("tasks per second", f"{figures.tasks_per_second:.0f}"),
        ("median of a task", f"{figures.median_seconds * 1000:.1f} ms"),
    ]
    if slowest is not None and slowest.seconds is not None:
        rows.append(("slowest task", f"{slowest.seconds * 1000:.0f} ms, {code(slowest.path)}"))
    return [_table("figure|value", rows)] if findings.runs else []
