"""The text of an act: its file, and of the shared files what it calls.

Redis makes every function of a script anew at each call, which costs more than most acts
do: so a function that an act cannot reach is left out of it. The shared files are written
for that: each function begins at the margin, and ends with an `end` there or in its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

SHARED = ("lib", "counts", "joins")
"""What every act may use."""
_FUNCTION = re.compile(r"(?:local function (\w+)|(\w+) = function)\(")
_COMMENT = re.compile(r"\s*(?:--.*)?$")
_CALL = re.compile(r"(?<![.\w])(\w+)\(")


@cache
def act_source(name: str) -> str:
    """The Lua source of an act, to be put behind the installation's constants.

    Args:
        name: the file's name in `scripts/` without its ending, such as `claim_v1`.
    """
    act = _read(name)
    used = re.search(r"^-- uses: (.+)$", act, re.MULTILINE)
    parts = [*SHARED, *(used[1].split() if used else ())]
    pieces = [piece for part in parts for piece in _pieces(_read(part))]
    pieces += [("", line) for line in _lines(act)]
    kept: set[int] = set()
    needed: set[str] = set()
    while True:
        found = {
            place
            for place, (name, _) in enumerate(pieces)
            if place not in kept and (not name or name in needed)
        }
        if not found:
            return "\n".join(pieces[place][1] for place in sorted(kept)) + "\n"
        kept |= found
        needed.update(called for place in found for called in _CALL.findall(pieces[place][1]))


def read_acts() -> None:
    """Read all acts now: before a process forks while a thread of it might be reading one.

    The child would wait for ever for the import lock that this thread held.
    """
    for path in files("pyagent_orch.store").joinpath("scripts").iterdir():
        if path.name.endswith("_v1.lua"):
            act_source(path.name.removesuffix(".lua"))


def _read(name: str) -> str:
    return files("pyagent_orch.store").joinpath("scripts", f"{name}.lua").read_text("utf-8")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not _COMMENT.fullmatch(line)]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The functions of a file, each with its name, and between them its other lines without."""
    name, lines = "", []
    for line in _lines(text):
        found = _FUNCTION.match(line)
        if found:
            name = found[1] or found[2]
        lines.append(line)
        if not name or line == "end" or (found and line.endswith(" end")):
            yield name, "\n".join(lines)
            name, lines = "", []
