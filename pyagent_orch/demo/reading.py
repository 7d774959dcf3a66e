"""Reads one file and finds what is worth telling about it.

Part of the demo, on the layer of the edges: the work that the demo's tasks do.
Looks at the file and, for its links, at the files beside it; knows nothing of
tasks and agents.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from pyagent_orch.demo.document import Document, parse_plain
from pyagent_orch.demo.encoding import decode
from pyagent_orch.demo.links import MARKDOWN_SUFFIXES, broken_links
from pyagent_orch.demo.markdown import parse_markdown
from pyagent_orch.demo.prose import (
    WORDS_PER_MINUTE,
    all_words,
    count_sentences,
    reading_ease,
    telling_terms,
)
from pyagent_orch.demo.python_source import comments_of, measure, parse
from pyagent_orch.demo.restructured import parse_restructured
from pyagent_orch.demo.results import FileKind, FileReport, Marker, Prose, PythonSource

LONG_LINE = 120
"""A line of source with more characters is long."""

_PROSE_SUFFIXES = frozenset({".rst", ".txt", ".text", ".adoc"}) | MARKDOWN_SUFFIXES
_PROSE_NAMES = frozenset({"authors", "changelog", "copying", "license", "notice", "readme"})
# Lists for tools, though they end in .txt.
_LIST_NAMES = re.compile(
    r"requirements|constraints|robots|manifest|cmakelists|sources", re.IGNORECASE
)
_PYTHON_SUFFIXES = frozenset({".py", ".pyi", ".pyw"})

_WORDS = r"(TODO|FIXME|XXX|HACK)"
_MARKED_WITH_COLON = re.compile(rf"(?:^|\W){_WORDS}(?:\([^()\n]{{0,80}}\))?:(.{{0,120}})")
_MARKED_IN_COMMENT = re.compile(rf"(?:#|//|/\*|--|;|%)[ \t]{{0,9}}{_WORDS}\b:?(.{{0,120}})")


def kind_of(path: Path) -> FileKind:
    """What a file is, by its name."""
    if path.suffix.lower() in _PYTHON_SUFFIXES:
        return "python"
    is_named_prose = not path.suffix and path.name.lower() in _PROSE_NAMES
    if path.suffix.lower() in _PROSE_SUFFIXES and not _LIST_NAMES.match(path.name):
        return "prose"
    return "prose" if is_named_prose else "text"


def read_file(path: Path, folder: Path) -> FileReport:
    """Read one file.

    Args:
        path: the file, somewhere below the folder.
        folder: what the path is told relative to.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    data = path.read_bytes()
    text, encoding, troubles = decode(data)
    kind = kind_of(path)
    lines = text.splitlines()
    prose: Prose | None = None
    python: PythonSource | None = None
    syntax_error: str | None = None
    if kind == "prose":
        prose = _read_prose(text, path, folder)
    elif kind == "python":
        python, syntax_error = _read_python(text)
    else:
        syntax_error = _syntax_error(text, path)
    lengths = [len(line) for line in lines]
    return FileReport(
        path=path.relative_to(folder).as_posix(),
        kind=kind,
        size_bytes=len(data),
        encoding=encoding,
        lines=len(lines),
        blank_lines=sum(not line.strip() for line in lines),
        long_lines=sum(length > LONG_LINE for length in lengths) if kind != "prose" else 0,
        longest_line=max(lengths, default=0),
        troubles=troubles,
        syntax_error=syntax_error,
        markers=_markers(text, kind),
        prose=prose,
        python=python,
    )


def _read_prose(text: str, path: Path, folder: Path) -> Prose:
    document = _take_apart(text, path.suffix.lower())
    words = all_words(document)
    return Prose(
        words=len(words),
        sentences=sum(count_sentences(paragraph) for paragraph in document.paragraphs),
        reading_minutes=round(len(words) / WORDS_PER_MINUTE, 1),
        flesch=reading_ease(document.paragraphs),
        headings=document.headings,
        links=len(document.links),
        broken_links=broken_links(document, path, folder),
        open_boxes=document.open_boxes,
        terms=telling_terms(words),
    )


def _take_apart(text: str, suffix: str) -> Document:
    if suffix in MARKDOWN_SUFFIXES:
        return parse_markdown(text)
    return parse_restructured(text) if suffix == ".rst" else parse_plain(text)


def _read_python(text: str) -> tuple[PythonSource | None, str | None]:
    try:
        figures = measure(parse(text))
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        return None, f"{where}{error.msg}"
    return figures.model_copy(update={"comment_lines": len(comments_of(text))}), None


def _syntax_error(text: str, path: Path) -> str | None:
    """Why a JSON or TOML file cannot be parsed; None for any other file."""
    try:
        if path.suffix.lower() == ".json":
            json.loads(text)
        elif path.suffix.lower() == ".toml":
            tomllib.loads(text)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return str(error)
    return None


def _markers(text: str, kind: FileKind) -> list[Marker]:
    markers = []
    numbered = comments_of(text) if kind == "python" else enumerate(text.splitlines(), 1)
    for number, line in numbered:
        found = _MARKED_WITH_COLON.search(line)
        if found is None and kind != "prose":
            found = _MARKED_IN_COMMENT.search(line)
        if found:
            markers.append(Marker(word=found[1], line=number, text=found[2].strip()))
    return markers
