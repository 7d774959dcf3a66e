"""What the demo's reader finds in real files."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from pyagent_orch.agents import registered_agents
from pyagent_orch.demo import python_source
from pyagent_orch.demo.files import collect
from pyagent_orch.demo.python_source import comments_of, complexity, measure, parse
from pyagent_orch.demo.readers import READER, read_text_file
from pyagent_orch.demo.reading import kind_of, read_file
from pyagent_orch.demo.results import FileReport
from pyagent_orch.exceptions import AgentError

ROOT = Path(__file__).parents[2]


def read(folder: Path, path: str, text: str) -> FileReport:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="")
    return read_file(file, folder)


# --- links ---------------------------------------------------------------------------


def broken(report: FileReport) -> list[tuple[str, int, str]]:
    assert report.prose is not None
    return [(link.target, link.line, link.problem) for link in report.prose.broken_links]


def test_a_relative_link_to_a_missing_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "with space.md").write_text("x\n")
    report = read(
        tmp_path,
        "docs/a.md",
        "[up](../README.md)\n[beside](with%20space.md)\n[gone](gone.md?raw=1)\n"
        "[top](/docs/a.md)\n[web](https://example.org/gone.md)\n[mail](mailto:a@example.org)\n"
        "[template]({{ url }}/gone.md)\n[folder](../docs/)\n[host](//example.org/x)\n",
    )
    assert broken(report) == [
        ("../README.md", 1, "no such file"),
        ("gone.md?raw=1", 3, "no such file"),
    ]
    assert report.prose is not None
    assert report.prose.links == 9


def test_a_link_to_a_missing_heading_is_broken(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text(
        "# Set up & run `it`\n\n## Twice\n\n## Twice\n\n<a id='Own'></a>\n"
    )
    report = read(
        tmp_path,
        "a.md",
        "# Here\n[1](#here)\n[2](#there)\n[3](b.md#set-up--run-it)\n[4](b.md#twice-1)\n"
        "[5](b.md#twice-2)\n[6](b.md#own)\n[7](#top)\n",
    )
    assert broken(report) == [
        ("#there", 3, "no such heading"),
        ("b.md#twice-2", 6, "no such heading"),
    ]


@pytest.mark.parametrize("target", ["x" * 299, "%00", "a%2Fb/../../../../../../../gone"])
def test_an_odd_target_is_a_missing_file_and_no_crash(tmp_path: Path, target: str) -> None:
    assert broken(read(tmp_path, "a.md", f"[x]({target})\n")) == [(target, 1, "no such file")]


# --- Python ----------------------------------------------------------------------------

SOURCE = '''\
"""A module."""
import os, numpy as np
from collections import abc
from . import sibling
import celery.app

class Public:
    def method(self, x):
        """Says what it does."""
        if x and os.sep or not x:
            return [y for y in x if y]
        return None

    def undocumented(self): pass
    def _private(self): pass
    @property
    def value(self):
        """A property."""
    @value.setter
    def value(self, new): pass

async def straight():
    # TODO(someone): say more
    def nested():
        if 1: pass
    return 1

def test_something(): pass
'''


def test_functions_classes_and_imports_of_a_source_are_counted(tmp_path: Path) -> None:
    report = read(tmp_path, "a.py", SOURCE)
    found = report.python
    assert report.kind == "python"
    assert found is not None
    assert (found.functions, found.classes, found.comment_lines) == (8, 1, 1)
    assert found.standard_imports == ["collections", "os"]
    assert found.other_imports == ["celery", "numpy"]
    assert found.longest is not None
    assert (found.longest.name, found.longest.line, found.longest.lines) == ("Public.method", 8, 5)
    assert found.most_complex is not None
    assert (found.most_complex.name, found.most_complex.complexity) == ("Public.method", 6)


def test_public_names_without_a_docstring_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, "a.py", SOURCE).python
    assert found is not None
    assert found.undocumented == ["Public", "Public.undocumented", "straight"]
    assert found.public_names == 6
    bare = read(tmp_path, "b.py", "x = 1\n").python
    assert bare is not None
    assert bare.undocumented == ["module"]


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        ("return 1", 1),
        ("if x: pass\n elif y: pass\n else: pass", 3),
        ("for a in x:\n  while a: pass", 3),
        ("return x and y or z", 3),
        ("return 1 if x else 2", 2),
        ("try: pass\n except A: pass\n except B: pass\n finally: pass", 3),
        ("return [a for a in x for b in a if b]", 4),
        ("match x:\n  case 1: pass\n  case [2]: pass\n  case _: pass", 3),
        ("def inner():\n  if x: pass", 1),
        ("return lambda a: a or x", 1),
    ],
)
def test_complexity_counts_the_ways_through_a_function(body: str, ways: int) -> None:
    function = ast.parse(f"def f(x, y, z):\n {body}\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert complexity(function) == ways


def test_a_source_that_is_no_python_is_told_with_the_line(tmp_path: Path) -> None:
    report = read(tmp_path, "a.py", "x = 1\n# TODO: mend\ndef broken(:\n")
    assert report.python is None
    assert report.syntax_error is not None
    assert report.syntax_error.startswith("line 3: ")
    assert [marker.text for marker in report.markers] == ["mend"]


@pytest.mark.parametrize("source", ["(" * 5_000, "x=" + "1+" * 20_000 + "1", "\0", "if a:\n" * 300])
def test_a_source_that_no_parser_can_hold_is_a_syntax_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        parse(source)


def test_a_source_with_warnings_is_read_in_silence() -> None:
    # Warnings are errors in these tests, so one would show.
    assert measure(parse(r"x = '\d'; assert (1, 'always')")).functions == 0


def test_figures_of_our_own_source_agree_with_what_inspect_says() -> None:
    path = Path(inspect.getfile(python_source))
    figures = read_file(path, ROOT).python
    assert figures is not None
    assert figures.undocumented == []
    functions = inspect.getmembers(python_source, inspect.isfunction)
    own = [f for _, f in functions if f.__module__ == python_source.__name__]
    assert figures.functions == len(own)
    assert figures.longest is not None
    lengths = {f.__name__: len(inspect.getsource(f).splitlines()) for f in own}
    assert figures.longest.lines == max(lengths.values())


def test_comments_before_a_break_are_kept() -> None:
    assert comments_of("# one\nx = '''\n# no\n") == [(1, "# one")]


# --- other files, and all --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("README.md", "prose"), ("LICENSE", "prose"), ("a.rst", "prose"), ("notes.txt", "prose"),
        ("requirements-dev.txt", "text"), ("a.py", "python"), ("a.pyi", "python"),
        ("Makefile", "text"), ("a.json", "text"),
    ],
)  # fmt: skip
def test_the_kind_of_a_file_is_told_by_its_name(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("name", "text", "is_broken"),
    [
        ("a.json", '{"a": 1}', False),
        ("a.json", '{"a": 1,}', True),
        ("b.json", "[" * 50_000, True),
        ("a.toml", "a = 1\n", False),
        ("a.toml", "a = \n", True),
        ("a.yaml", "a: [\n", False),
    ],
)
def test_json_and_toml_that_cannot_be_parsed_are_told(
    tmp_path: Path, name: str, text: str, is_broken: bool
) -> None:
    assert (read(tmp_path, name, text).syntax_error is not None) == is_broken


def test_lines_are_measured(tmp_path: Path) -> None:
    report = read(tmp_path, "a.sh", "x" * 121 + "\n\n" + "y" * 120 + "\n")
    assert (report.lines, report.blank_lines, report.long_lines, report.longest_line) == (
        3,
        1,
        1,
        121,
    )
    assert report.size_bytes == 244


@pytest.mark.parametrize(
    ("name", "line", "markers"),
    [
        ("a.c", "int x; // TODO later", [("TODO", "later")]),
        ("a.sh", "# FIXME: now", [("FIXME", "now")]),
        ("a.md", "TODO: write this part", [("TODO", "write this part")]),
        ("a.md", "No TODO is left in here.", []),
        ("a.py", "x = 'TODO: no comment'", []),
        ("a.js", "const TODOS = 1;", []),
    ],
)
def test_notes_of_things_left_to_do_are_found(
    tmp_path: Path, name: str, line: str, markers: list[tuple[str, str]]
) -> None:
    report = read(tmp_path, name, f"\n{line}\n")
    assert [(marker.word, marker.text) for marker in report.markers] == markers
    assert all(marker.line == 2 for marker in report.markers)


def test_every_file_of_this_project_can_be_read() -> None:
    collection = collect(ROOT / "pyagent_orch")
    reports = [read_file(ROOT / "pyagent_orch" / file.path, ROOT) for file in collection.files]
    assert len(reports) > 50
    assert [report.path for report in reports if report.troubles or report.syntax_error] == []
    assert sum(report.size_bytes for report in reports) == collection.size_bytes


def test_the_reader_is_a_registered_agent_whose_answer_is_json(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n\nOne sentence.\n")
    assert registered_agents()[READER] is read_text_file
    answer = read_text_file({"folder": str(tmp_path), "path": "a.md"})
    report = FileReport.model_validate(answer)
    assert (report.path, report.kind, report.lines) == ("a.md", "prose", 3)
    assert report.prose is not None
    assert (report.prose.words, report.prose.sentences) == (3, 1)


def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"cannot read 'gone\.md'.*same disk"):
        read_text_file({"folder": str(tmp_path), "path": "gone.md"})
