"""Programs that run side by side: real ones, as small as can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent_orch.stack import program, stack
from pyagent_orch.stack.stack import Stack
from pyagent_orch.stack.unit import Unit
from support.fleet import until


class Script:
    """A teller that acts when it is told certain texts."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._acts: dict[str, Callable[[], object]] = {}

    def on(self, text: str, act: Callable[[], object]) -> None:
        self._acts[text] = act

    def line(self, unit: str, text: str) -> None:
        self.lines.append((unit, text))
        self._told(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._told(text)

    def _told(self, text: str) -> None:
        for part in [part for part in self._acts if part in text]:
            self._acts.pop(part)()


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def sh(name: str, script: str, told: str = "") -> Unit:
    return Unit(name, ["sh", "-c", script], dict(os.environ), lambda _: True, told)


def is_running(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_lines_come_with_the_name_of_their_program_and_all_end_together() -> None:
    script = Script()
    script.on("All is ready", press)
    units = [sh("a", "echo one; printf two; exec sleep 60"), sh("b", "echo three; exec sleep 60")]
    assert Stack(units, script).run()
    assert sorted(script.lines) == [("a", "one"), ("a", "two"), ("b", "three")]
    assert "a is ready." in script.notes


def test_what_dies_is_started_again_after_a_pause_that_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stack, "FIRST_PAUSE", 0.05)
    script = Script()
    script.on("starts again in 0.2 s", press)
    assert Stack([sh("a", "exit 3")], script).run()
    ends = [text for text in script.notes if "starts again" in text]
    assert [text.split()[-2] for text in ends] == ["0.05", "0.1", "0.2"]
    assert all("a ended with code 3" in text for text in ends)


def test_a_program_that_cannot_run_like_this_ends_all() -> None:
    script = Script()
    units = [
        Unit("a", ["sh", "-c", "echo wrong usage; exit 2"], {}, lambda _: False),
        sh("b", "exec sleep 60"),
    ]
    assert not Stack(units, script).run()
    assert ("a", "wrong usage") in script.lines
    assert "a cannot run like this; all ends." in script.notes


def test_what_does_not_end_is_killed_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack, "STOP_SECONDS", 0.3)
    pids = tmp_path / "pids"
    deaf = f"trap '' TERM; echo $$ >> {pids}; sleep 61 & echo $! >> {pids}; echo up; wait; wait"
    script = Script()
    script.on("up", press)
    assert not Stack([sh("deaf", deaf)], script).run()
    assert "deaf does not end and is killed." in script.notes
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: not is_running(pid), 5)


def test_what_a_killed_program_leaves_behind_does_not_hold_it_up(tmp_path: Path) -> None:
    script = Script()
    script.on("a is ready again", press)
    parent = "sleep 64 & echo $!; kill -9 $$"
    assert Stack([sh("a", parent)], script).run()
    for _, pid in script.lines:
        until(lambda pid=pid: not is_running(int(pid)), 5)


def test_a_second_ctrl_c_waits_for_nobody() -> None:
    script = Script()
    script.on("up", press)
    script.on("Ending", press)
    threading.Timer(stack.STOP_SECONDS - 1, script.notes.append, ["too late"]).start()
    assert not Stack([sh("deaf", "trap '' TERM; echo up; sleep 62; sleep 62")], script).run()
    assert "too late" not in script.notes


def test_it_ends_when_nobody_can_be_told_any_more() -> None:
    class Gone(Script):
        def line(self, unit: str, text: str) -> None:
            raise BrokenPipeError

    assert Stack([sh("a", "echo up; exec sleep 60")], Gone()).run()


def test_a_line_without_end_is_shown_in_parts() -> None:
    script = Script()
    script.on("done", press)
    assert Stack([sh("a", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo done; sleep 60")],
                 script).run()  # fmt: skip
    texts = [text for _, text in script.lines if text.startswith("x")]
    assert sum(map(len, texts)) == 300_000
    assert max(map(len, texts)) < 8 * program.LINE_BYTES


PARENT = """
import sys
from pyagent_orch.stack.stack import Stack
from pyagent_orch.stack.unit import Unit

class Teller:
    def line(self, unit, text): print(text, flush=True)
    def note(self, text): pass

Stack([Unit("a", ["sh", "-c", sys.argv[1]], {}, lambda _: True)], Teller()).run()
"""


@pytest.mark.parametrize(
    "child", ["echo $$; sleep 63", "trap '' TERM; echo $$; sleep 63; sleep 63"]
)
def test_its_programs_end_when_it_is_killed(child: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
        # What is deaf is killed by the guard, which gives it 8 s.
        until(lambda: not is_running(pid), 12)
