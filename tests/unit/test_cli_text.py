"""What the command line does with text: escaping, widths, cutting, durations, tables."""

from __future__ import annotations

import os
import pty
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.cli.show import Column, console, preview, print_table
from pyagent_orch.cli.times import age, duration, moment, parse_duration
from pyagent_orch.escape import cut, escape, one_line, width

ANY_TEXT = st.text(st.characters(), max_size=60)
"""Surrogates included: JSON can bring them."""
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("ok\rfake", r"ok\rfake"),
        ("one\u2028two", r"one\u2028two"),
        ("hidden\U000e0041", r"hidden\U000e0041"),
        ("half \ud83d", r"half \ud83d"),
        ("back\x08space\x7f", r"back\x08space\x7f"),
        ("line\n\tnext", r"line\n\tnext"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(hostile: str, shown: str) -> None:
    assert escape(hostile) == shown


@pytest.mark.parametrize(
    "harmless",
    ["plain", "naïve café", "你好", "עברית", "👩‍💻 ❤️", "C:\\new", "a\u00a0b", "میخواهم\u200c"],
)
def test_text_that_only_says_something_stays_as_it_is(harmless: str) -> None:
    assert escape(harmless) == harmless


def test_lines_and_tabs_stay_where_they_are_wanted() -> None:
    assert escape("a\n\tb\r\nc\rd", lines=True) == "a\n\tb\nc\\rd"


@given(ANY_TEXT)
def test_nothing_that_is_escaped_can_be_obeyed(text: str) -> None:
    for allowed, shown in (("", escape(text)), ("\n\t", escape(text, lines=True))):
        left = {char for char in shown if unicodedata.category(char) in OBEYED}
        assert left <= {*allowed, "\u200c", "\u200d"}
        shown.encode()
    assert escape(escape(text)) == escape(text)


@given(ANY_TEXT, st.integers(1, 30))
def test_a_cut_text_fits_and_says_that_it_is_cut(text: str, columns: int) -> None:
    safe = one_line(text)
    shown = cut(safe, columns)
    assert width(shown) <= columns
    assert shown == safe or (shown.endswith("…") and safe.startswith(shown[:-1]))


def test_wide_and_combining_characters_are_counted_as_terminals_draw_them() -> None:
    assert [width(text) for text in ("abc", "你好", "e\u0301", "ﾊ")] == [3, 4, 1, 1]


def test_a_preview_is_one_short_line_of_any_value() -> None:
    assert preview({"a": [1, "ü"]}) == '{"a": [1, "ü"]}'
    assert preview("first\nsecond") == "first second"
    assert preview("x" * 1_000_000, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("500ms", 0.5), ("30s", 30), ("10m", 600), ("2 h", 7200)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "nan", "inf", "1e999", "9" * 400, "1 2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write 90"):
        parse_duration(text)


def test_durations_and_moments_read_well() -> None:
    spans = [-1, 0.0123, 3.44, 65, 7265, 273_600]
    assert [duration(span) for span in spans] == [
        "0 ms", "12 ms", "3.4 s", "1 min 5 s", "2 h 1 min", "3 d 4 h",
    ]  # fmt: skip
    at = datetime(2026, 3, 1, 12, 0, 0, 5_000, tzinfo=UTC)
    assert moment(at) == "2026-03-01 12:00:00.005Z"
    past = [-2, 45, 200, 7200, 400_000]
    ages = [age(at, at + timedelta(seconds=seconds)) for seconds in past]
    assert ages == ["0 s", "45 s", "3 min", "2 h", "4 d"]


def test_a_table_is_aligned_by_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("NAME"), Column("N", right=True), Column("TEXT"))
    print_table(columns, [["你好", "1", "x\x1b"], ["b", "22", "[bold]"]], "none")
    assert capsys.readouterr().out == "NAME   N  TEXT\n你好   1  x\\x1b\nb     22  [bold]\n"


@pytest.mark.parametrize(
    ("environment", "has_colour"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"without rich": "1"}, False),
    ],
)
def test_colour_needs_a_terminal_rich_and_nobody_who_minds(
    environment: dict[str, str], has_colour: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if "without rich" in environment:
        # As Python has it for a module that is known not to be there.
        monkeypatch.setitem(sys.modules, "rich.console", None)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert (console(terminal) is not None) is has_colour
    os.close(ours)
    with (tmp_path / "file").open("w") as file:
        assert console(file) is None


def test_an_empty_table_is_a_note_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("NAME"),), [], "Nothing here.")
    assert capsys.readouterr() == ("", "Nothing here.\n")
