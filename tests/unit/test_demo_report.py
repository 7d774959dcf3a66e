"""What is made of the results: findings, report and summary."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.demo import terminal
from pyagent_orch.demo.findings import FileRun, Findings, digest
from pyagent_orch.demo.markdown import parse_markdown
from pyagent_orch.demo.reading import read_file
from pyagent_orch.demo.report import MOST_ROWS, code, make_report, reading_ease_in_words, size
from pyagent_orch.states import TaskStatus

DONE = TaskStatus.COMPLETED


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    """The findings of a small folder, read for real, and one task that failed."""
    texts = {
        "README.md": "# Title\n\n## Part\n\n[gone](gone.md) and queue and queue.\n\nTODO: more\n",
        "app/main.py": "import celery, app\ndef run(x):\n    return x and 1\n",
        "broken.json": "{",
        "we|rd `name`.txt": "a\n",
    }
    runs = []
    for number, (path, text) in enumerate(texts.items(), 1):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        report = read_file(tmp_path / path, tmp_path)
        runs.append(FileRun(path, f"id{number}", DONE, 1, number / 10, "w1", report))
    runs.append(
        FileRun("lost.md", "id9", TaskStatus.FAILED, 3, None, None, None, "cannot | read\nit")
    )
    return Findings(str(tmp_path), runs, {"binary": 2, "hidden": 1})


def report_of(findings: Findings, summary: str = "All well.") -> str:
    return make_report(findings, findings.figures(2.0), summary, "1 May 2026, 10:00 UTC")


def test_the_figures_of_the_run_add_up(findings: Findings) -> None:
    figures = findings.figures(2.0)
    assert (figures.tasks, figures.completed, figures.failed, figures.retried) == (5, 4, 1, 1)
    assert figures.workers == ("w1",)
    assert figures.tasks_per_second == 2.5
    assert figures.median_seconds == 0.25
    assert figures.slowest is not None
    assert figures.slowest.path == "we|rd `name`.txt"


def test_findings_of_all_files_come_together(findings: Findings) -> None:
    assert [(total.title, total.files) for total in findings.totals] == [
        ("prose", 2),
        ("Python", 1),
        ("other text", 1),
    ]
    assert [(path, link.target) for path, link in findings.broken_links] == [
        ("README.md", "gone.md")
    ]
    assert [(path, marker.text) for path, marker in findings.markers] == [("README.md", "more")]
    assert [path for path, _ in findings.defects] == ["broken.json"]
    assert findings.packages == {"celery": 1}
    assert findings.documented_share == 0
    assert findings.terms == {"queue": 2}


def test_the_report_has_a_section_for_each_thing_worth_telling(findings: Findings) -> None:
    headings = [heading.title for heading in parse_markdown(report_of(findings)).headings]
    assert headings[1:] == [
        "In one paragraph", "Overview", "Largest files", "To mend", "Files that could not be read",
        "Broken links", "Syntax and characters", "Left to do", "To read", "Outline", "Python",
        "Most complex functions", "Longest functions", "Missing docstrings", "The run",
    ]  # fmt: skip


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\n")
    report = read_file(tmp_path / "a.csv", tmp_path)
    empty = Findings("x", [FileRun("a.csv", "i", DONE, 1, 0.1, "w", report)], {})
    headings = [heading.title for heading in parse_markdown(report_of(empty)).headings]
    assert headings == ["What is in x", "In one paragraph", "Overview", "Largest files", "The run"]


def test_nothing_in_a_file_is_taken_for_markup_of_the_report(findings: Findings) -> None:
    text = report_of(findings, "# No heading\n[no](link.md)")
    assert "| `` we\\|rd `name`.txt `` |" in text
    assert "cannot \\| read it" in text
    assert "> # No heading" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows
    # Each row of a table has as many cells as its head.
    for table in text.split("\n\n"):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1


def test_a_long_table_is_cut_and_says_how_much_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("".join(f"[x](gone{n}.md)\n" for n in range(MOST_ROWS + 7)))
    report = read_file(tmp_path / "a.md", tmp_path)
    text = report_of(Findings("x", [FileRun("a.md", "i", DONE, 1, 0.1, "w", report)], {}))
    assert f"gone{MOST_ROWS - 1}.md" in text
    assert f"gone{MOST_ROWS}.md" not in text
    assert "... and 7 more." in text


@given(st.text(min_size=1, max_size=40))
def test_a_name_shown_as_code_is_one_line_and_its_fence_is_longer_than_any_in_it(name: str) -> None:
    shown = code(name)
    fence = shown[: len(shown) - len(shown.lstrip("`"))]
    assert shown.endswith(fence)
    assert fence not in shown[len(fence) : -len(fence)].strip()
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("ease", "words"),
    [(116, "easy"), (65, "plain English"), (30, "difficult"), (-40, "very difficult")],
)
def test_the_reading_ease_has_words(ease: float, words: str) -> None:
    assert reading_ease_in_words(ease) == words


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 B"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB")]
)
def test_sizes_read_well(count: int, words: str) -> None:
    assert size(count) == words


def test_a_model_is_given_the_findings_in_a_few_lines(findings: Findings) -> None:
    text = digest(findings, most=1)
    assert "README.md:5 gone.md" in text
    assert "lost.md: cannot | read" in text
    assert len(text) < 2_000


def test_the_plain_summary_shows_the_findings_and_the_run(
    findings: Findings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the extra were not installed.
    monkeypatch.setitem(sys.modules, "rich", None)
    assert not terminal.has_rich()
    terminal.show_summary(findings, findings.figures(2.0), "All\x1b[31m well.")
    shown = capsys.readouterr().out
    assert "broken link:" in shown
    assert "README.md:5 -> gone.md" in shown
    assert "All?[31m well." in shown
    assert "5 tasks on 1 worker in 2.0 s, 2 a second, 1 failed." in shown


def test_the_rich_summary_takes_nothing_for_markup(
    findings: Findings, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.show_summary(findings, findings.figures(2.0), "All [red]well[/red].\x1b]0;title\x07")
    shown = capsys.readouterr().out
    assert "All [red]well[/red].?]0;title?" in shown
    assert "README.md:5 -> gone.md" in shown


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with terminal.progress(2_000, interval_seconds=0) as advance:
        advance(1_000, "a.md")
        advance(2_000, "")
    assert capsys.readouterr().out == "1,000 of 2,000 files read, now a.md\n"


def test_on_a_terminal_progress_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stdout(screen), terminal.progress(20) as advance:
        advance(10, "[bold]a.md")
    shown = screen.getvalue()
    assert "10/20" in shown
    assert "[bold]a.md" in shown
    assert "\x1b[2K" in shown
