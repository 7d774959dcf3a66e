"""Printing: JSON for machines; text, tables and colour for people.

Command line. The result goes to stdout, and all else (notes, progress, errors) to
stderr. Colour needs a terminal, rich (extra `[cli]`) and no `NO_COLOR`; otherwise
the same text comes without it. All text is escaped here, on its way out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

import click

from pyagent_orch.escape import cut, escape, one_line, width
from pyagent_orch.models.values import JSONValue

if TYPE_CHECKING:
    from rich.console import Console

STATUS_STYLES: Mapping[str, str] = {
    "pending": "yellow",
    "running": "cyan",
    "retrying": "magenta",
    "completed": "green",
    "failed": "red",
    "cancelled": "bright_black",
    "skipped": "bright_black",
}
_GAP = 2
_LEAST = 8
"""To how few columns a flexible column may shrink."""
PREVIEW = 80
"""How many columns of an output or error stand in a list."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    flexible: bool = False
    """Whether its texts may be cut when the terminal is too narrow."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """Maps a cell's text to its colour."""
    right: bool = False
    """Whether its texts stand on the right, as numbers do."""


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it."""
    try:
        return stream.isatty()
    except ValueError:
        return False  # closed


def console(stream: TextIO) -> Console | None:
    """Rich's console for a stream; None where plain text is due."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: JSONValue) -> None:
    """Print the one document of a command with `--json`.

    ASCII only: no encoding of the terminal can refuse it, and no control
    character is in it.
    """
    click.echo(json.dumps(value, indent=2))


def print_json_line(value: JSONValue) -> None:
    """Print one document of many, on a line of its own, and flush it."""
    click.echo(json.dumps(value, separators=(",", ":")))


def print_text(text: str, style: str = "", *, lines: bool = True, err: bool = False) -> None:
    """Print text for people.

    Args:
        text: from anywhere; it is escaped.
        style: its colour, where there is colour.
        lines: whether it may have line ends of its own.
        err: to stderr.
    """
    print_spans([(text, style)], lines=lines, err=err)


def print_spans(
    spans: Sequence[tuple[str, str]], *, lines: bool = False, err: bool = False
) -> None:
    """Print a line of parts, each with its colour (empty for none)."""
    safe = [(escape(text, lines=lines), style) for text, style in spans]
    stream = sys.stderr if err else sys.stdout
    screen = console(stream) if any(style for _, style in safe) else None
    if screen is None:
        click.echo("".join(text for text, _ in safe), file=stream)
        return
    from rich.text import Text

    # As Text, not as str: square brackets of strangers are no markup.
    screen.print(Text.assemble(*safe))


def note(text: str) -> None:
    """Tell people something on stderr, on one line."""
    click.echo(one_line(text), err=True)


def print_error(text: str) -> None:
    """Print an error on stderr, on one line."""
    print_spans([("Error: ", "bold red"), (one_line(text), "")], err=True)


def preview(value: JSONValue, columns: int = PREVIEW) -> str:
    """A value on one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Cut before it is escaped, since an output can be of any length.
    return cut(one_line(text[: columns * 10]), columns)


def readable(value: JSONValue) -> str:
    """A value in full: text as it is, all else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows under titles.

    Args:
        columns: the titles.
        rows: texts from anywhere, one for each column.
        empty: the note that takes the place of a table without rows.
    """
    if not rows:
        note(empty)
        return
    room = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
    for line in table_lines(columns, rows, room):
        print_spans(line)


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None = None
) -> list[list[tuple[str, str]]]:
    """Rows under titles, as lines of parts, each with its colour.

    Args:
        columns: the titles.
        rows: texts from anywhere, one for each column; they are escaped.
        room: how many columns of a terminal there are; None: as many as it takes.
    """
    safe = [[one_line(cell) for cell in row] for row in rows]
    widths = [
        max([width(column.title), *(width(row[place]) for row in safe)])
        for place, column in enumerate(columns)
    ]
    if room is not None:
        _narrow(widths, columns, room)
    lines = [[(_line([column.title for column in columns], columns, widths), "bold")]]
    for row in safe:
        cells = [cut(cell, limit) for cell, limit in zip(row, widths, strict=True)]
        spans: list[tuple[str, str]] = []
        for place, column in enumerate(columns):
            style = column.styles.get(row[place], "")
            last = place == len(columns) - 1
            spans.append((_padded(cells[place], column, widths[place], last=last), style))
        lines.append(spans)
    return lines


def _narrow(widths: list[int], columns: Sequence[Column], limit: int) -> None:
    """Take from the flexible columns, the last one first, what the terminal is too narrow by."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - limit
    for place in reversed(range(len(columns))):
        if excess > 0 and columns[place].flexible:
            taken = min(excess, max(0, widths[place] - _LEAST))
            widths[place] -= taken
            excess -= taken


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    last = len(cells) - 1
    return "".join(
        _padded(cell, columns[place], widths[place], last=place == last)
        for place, cell in enumerate(cells)
    )


def _padded(cell: str, column: Column, columns: int, *, last: bool) -> str:
    room = " " * (columns - width(cell))
    if column.right:
        return room + cell + ("" if last else " " * _GAP)
    return cell if last else cell + room + " " * _GAP
