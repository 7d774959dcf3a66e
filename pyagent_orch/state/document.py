"""A state file as a whole: how it begins, whether it is sound, what of it can be saved.

Part of the room of the state file; knows neither locks nor threads. A power cut, a
full disk or an editor can leave a file that is no clean document (see `pages.py`).
Every entry that can be read is then kept, wherever it stands, and what cannot is
put aside; a file that is something else is refused and not touched.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from pyagent_orch.exceptions import StateFileError
from pyagent_orch.models.values import to_json
from pyagent_orch.state.lines import (
    FILE,
    PART,
    decode,
    encode,
    from_json,
    is_part,
    opens_group,
)
from pyagent_orch.state.pages import BEGINNING, BLOCK, CLOSING, Pages, raw_lines

FORMAT, VERSION = "pyagent_orch state", 1
_OPENING_BYTES = 2_000
_LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file says of itself in its first line."""

    namespace: str
    id: str = field(default_factory=lambda: uuid4().hex)

    def opening(self) -> bytes:
        """The beginning of the file, up to and with its first entry."""
        first = {
            "format": FORMAT, "version": VERSION, "namespace": self.namespace, "id": self.id,
            "entries": [],
        }  # fmt: skip
        entry = {"kind": FILE, "id": self.id, "created": time.time_ns() // 1_000_000}
        return to_json(first).removesuffix("]}").encode() + b"\n" + to_json(entry).encode()


@dataclass
class Inspection:
    """What was found in a file."""

    identity: Identity
    end: int = 0
    """Behind the last entry, bytes."""
    size: int = 0
    clean: bool = True
    bad: list[bytes] = field(default_factory=list)
    """What could not be read."""


def inspect(descriptor: int, path: Path) -> Inspection:
    """Read a file from its beginning to its end.

    Raises:
        StateFileError: it is no state file, or one of a later release.
        OSError: it cannot be read.
    """
    size = os.fstat(descriptor).st_size
    opening = os.pread(descriptor, _OPENING_BYTES, 0).partition(b"\n")[0]
    try:
        first = json.loads(opening + b"]}")
    except ValueError:
        first = None
    found = Inspection(_identity(first, path) if first else _rewritten(descriptor, path), size=size)
    if first is None:
        found.clean = False
        return found
    found.clean = (
        size % BLOCK == 0
        and size >= 2 * BLOCK
        and os.pread(descriptor, BLOCK, size - len(CLOSING)) == CLOSING
    )
    _read_lines(descriptor, found, len(opening) + 1)
    return found


def _read_lines(descriptor: int, found: Inspection, start: int) -> None:
    """Look at every line: an entry, a comma, blanks, or a bracket at the very end."""
    after_comma = True
    for place, raw in raw_lines(descriptor, start, found.size):
        text = raw.strip(b" ")
        if text == b"]}":
            # Anywhere else it is one too many.
            found.clean = found.clean and place + len(CLOSING) - 1 == found.size
        elif text == b",":
            found.clean = found.clean and not after_comma
            after_comma = True
        elif text:
            line = text.removesuffix(b",")
            if not _is_sound(line):
                found.clean = False
                found.bad.append(text[:_LONGEST_LINE])
                continue
            # Only what begins like our own lines is found later without reading all of it.
            found.clean = found.clean and after_comma and line.startswith(BEGINNING)
            after_comma = text.endswith(b",")
            found.end = place + raw.rindex(b"}") + 1
    found.clean = found.clean and not after_comma


def _is_sound(line: bytes) -> bool:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict):
        return False
    return content.get("kind") == PART or (
        isinstance(content.get("kind"), str)
        and isinstance(content.get("id"), str)
        and isinstance(content.get("created"), int)
    )


def _identity(first: object, path: Path) -> Identity:
    if not isinstance(first, dict) or first.get("format") != FORMAT:
        raise StateFileError(
            str(path), "it is there and no state file; it is left as it is. Use another name"
        )
    if first.get("version") != VERSION:
        raise StateFileError(
            str(path),
            f"it is of version {first.get('version')!r}, and this release reads {VERSION}; upgrade",
        )
    return Identity(str(first.get("namespace", "default")), str(first.get("id") or uuid4().hex))


def _rewritten(descriptor: int, path: Path) -> Identity:
    """The identity of a file that an editor has laid out anew."""
    whole = _whole(descriptor)
    return _identity(whole, path)


def _whole(descriptor: int) -> object:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        try:
            return json.load(file)
        except (ValueError, RecursionError):
            return None


def saved_lines(descriptor: int, found: Inspection) -> Iterable[bytes]:
    """The lines of all entries of a file that is not clean, in order, cut to their length."""
    whole = _whole(descriptor)
    if isinstance(whole, dict) and isinstance(whole.get("entries"), list):
        parts: list[str] = []
        for content in whole["entries"]:
            if isinstance(content, dict) and content.get("kind") == PART:
                parts = [*([] if content.get("first") else parts), str(content.get("text", ""))]
                continue
            with suppress(ValueError):
                entry = from_json(content, parts)
                if entry.kind != FILE:
                    yield from encode(entry)
            parts = []
        return
    group: list[bytes] = []
    for _, raw in raw_lines(descriptor, 0, found.size):
        line = raw.strip(b" ,")
        if not _is_sound(line):
            continue
        if is_part(line):
            group = [*([] if opens_group(line) else group), line]
            continue
        with suppress(ValueError, IndexError):
            entry = decode([*group, line])
            if entry.kind != FILE:
                yield from encode(entry)
        group = []


def write_new(
    path: Path, identity: Identity, lines: Iterable[bytes] = ()
) -> tuple[int, Pages, Path]:
    """Write a new file beside the path; `take_place` puts it there.

    Returns:
        The open descriptor, its pages, and where it is now.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    fresh = path.with_name(path.name + ".new")
    # Inputs and outputs are nobody else's business.
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        pages = Pages.create(descriptor, identity.opening(), lines)
    except BaseException:
        os.close(descriptor)
        fresh.unlink(missing_ok=True)
        raise
    return descriptor, pages, fresh


def sync_directory(path: Path) -> None:
    """Have the directory of a file know on the disk, too, which file has its name."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def put_aside(path: Path, bad: Iterable[bytes]) -> Path | None:
    """Keep what could not be read beside the file; None when there is nothing."""
    text = b"\n".join(bad)
    if not text.strip(b" \n\0"):
        return None
    aside = path.with_name(f"{path.name}.cut-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text + b"\n")
    finally:
        os.close(descriptor)
    return aside
