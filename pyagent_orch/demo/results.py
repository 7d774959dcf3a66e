"""What the demo's reader finds in one file: the output of one task.

Pydantic models without I/O. A task's output is the JSON of a `FileReport`; the
report is made from what comes back, so both sides agree on it here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FileKind = Literal["prose", "python", "text"]


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Heading(_Finding):
    """One heading of a text."""

    level: int = Field(ge=1)
    """1 is the outermost."""
    title: str
    line: int = Field(ge=1)


class BrokenLink(_Finding):
    """A relative link whose target is not there."""

    target: str
    """As it is written in the text."""
    line: int = Field(ge=1)
    problem: str
    """What is missing: the file, or the heading in it."""


class Marker(_Finding):
    """A note that something is left to do."""

    word: str
    line: int = Field(ge=1)
    text: str
    """What is to be done, shortened."""


class Prose(_Finding):
    """What is found in a text that people read."""

    words: int = Field(ge=0)
    sentences: int = Field(ge=0)
    reading_minutes: float = Field(ge=0)
    flesch: float | None = None
    """Reading ease, higher is easier, None: too short, or not English."""
    headings: list[Heading] = []
    links: int = Field(default=0, ge=0)
    broken_links: list[BrokenLink] = []
    open_boxes: int = Field(default=0, ge=0)
    """Check boxes of a list that are not ticked."""
    terms: dict[str, int] = {}
    """Maps the words that tell most of the text to how often they come; most frequent first."""


class Function(_Finding):
    """One function or method of a Python source."""

    name: str
    """With its class: `Orchestrator.submit`."""
    line: int = Field(ge=1)
    lines: int = Field(ge=1)
    complexity: int = Field(ge=1)
    """Independent ways through it; 1 is a straight line."""


class PythonSource(_Finding):
    """What is found in a Python source."""

    functions: int = Field(default=0, ge=0)
    classes: int = Field(default=0, ge=0)
    comment_lines: int = Field(default=0, ge=0)
    longest: Function | None = None
    most_complex: Function | None = None
    public_names: int = Field(default=0, ge=0)
    """The module, its public classes and functions but for tests: what wants a docstring."""
    undocumented: list[str] = []
    """Those of them that have none."""
    standard_imports: list[str] = []
    other_imports: list[str] = []
    """Top-level packages, sorted; relative imports are left out."""


class FileReport(_Finding):
    """All that is found in one file."""

    path: str
    """Relative to the folder, with forward slashes."""
    kind: FileKind
    size_bytes: int = Field(ge=0)
    encoding: str
    lines: int = Field(ge=0)
    blank_lines: int = Field(default=0, ge=0)
    long_lines: int = Field(default=0, ge=0)
    """Lines of more than 120 characters; not counted in prose, where a line may be a paragraph."""
    longest_line: int = Field(default=0, ge=0)
    """Characters."""
    troubles: list[str] = []
    """What is wrong with the encoding, the line ends or the characters."""
    syntax_error: str | None = None
    """Why the file cannot be parsed as what its name says it is."""
    markers: list[Marker] = []
    prose: Prose | None = None
    python: PythonSource | None = None
