"""Which files of a folder the demo reads, and which it leaves out and why.

Part of the demo, on the layer of the edges. Looks at names, sizes and first
bytes only; knows nothing of tasks and agents.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyagent_orch.exceptions import ConfigurationError

MAX_FILE_BYTES = 1_000_000
"""A larger file is left out: it is data, a log or generated."""

_HEAD_BYTES = 8_192
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_PRODUCED_FOLDERS = frozenset(
    {"__pycache__", "build", "demo-report", "dist", "htmlcov", "site", "target", "_build"}
)
_VENDORED_FOLDERS = frozenset(
    {"bower_components", "node_modules", "site-packages", "third_party", "vendor", "vendored"}
)


@dataclass(frozen=True)
class TextFile:
    """A file to read."""

    path: str
    """Relative to the folder, with forward slashes."""
    size_bytes: int


@dataclass(frozen=True)
class Collection:
    """What there is to read in a folder."""

    folder: Path
    files: tuple[TextFile, ...]
    """Sorted by path."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Maps the relative path of a file or folder that is left out to the reason."""

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)

    def skipped_by_reason(self) -> dict[str, int]:
        """Count what is left out, most frequent reason first."""
        return dict(Counter(self.skipped.values()).most_common())


def default_folder() -> Path:
    """The project's own checkout if the package runs in one, else the installed package."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent
    # An installed package lies in site-packages, which has neither.
    is_checkout = (checkout / "pyproject.toml").is_file() and (checkout / "tests").is_dir()
    return checkout if is_checkout else package


def collect(folder: Path, *, max_bytes: int = MAX_FILE_BYTES) -> Collection:
    """Find the text files below a folder.

    Left out are binary and empty files, files over `max_bytes`, symbolic links,
    and hidden, produced and vendored folders and virtual environments.

    Args:
        folder: where to look; a single file is a folder of one file.
        max_bytes: larger files are left out; bytes, > 0.

    Raises:
        ConfigurationError: the folder does not exist or cannot be listed.
    """
    top = folder.expanduser().resolve()
    if top.is_file():
        size = top.stat().st_size
        return Collection(top.parent, (TextFile(top.name, size),))
    if not top.is_dir():
        raise ConfigurationError("folder", f"{str(folder)!r} does not exist; name one that does.")
    try:
        os.scandir(top).close()
    except OSError as error:
        raise ConfigurationError("folder", f"cannot list {str(top)!r}: {error.strerror}.") from None
    files: list[TextFile] = []
    skipped: dict[str, str] = {}
    for path, found in _walk(top, max_bytes):
        relative = path.relative_to(top).as_posix()
        if isinstance(found, int):
            files.append(TextFile(relative, found))
        else:
            skipped[relative] = found
    return Collection(top, tuple(sorted(files, key=lambda file: file.path)), skipped)


def _walk(top: Path, max_bytes: int) -> Iterator[tuple[Path, int | str]]:
    """Yield each file with its size in bytes, or what is left out with the reason."""
    for where, folders, names in os.walk(top):
        here = Path(where)
        for name in sorted(folders):
            reason = _why_not_enter(here / name)
            if reason is not None:
                folders.remove(name)
                yield here / name, reason
        for name in names:
            yield here / name, _size_or_reason(here / name, max_bytes)


def _why_not_enter(folder: Path) -> str | None:
    name = folder.name
    if name.startswith("."):
        return "hidden"
    if folder.is_symlink():
        return "symbolic link"
    if name in _PRODUCED_FOLDERS or name.endswith(".egg-info"):
        return "produced"
    if name in _VENDORED_FOLDERS:
        return "vendored"
    if (folder / "pyvenv.cfg").is_file():
        return "virtual environment"
    return None


def _size_or_reason(path: Path, max_bytes: int) -> int | str:
    if path.name.startswith("."):
        return "hidden"
    if path.is_symlink():
        return "symbolic link"
    # A pipe or a device would block the reader.
    if not path.is_file():
        return "not a regular file"
    try:
        size = path.stat().st_size
        if size == 0:
            return "empty"
        if size > max_bytes:
            return f"over {max_bytes / 1_000_000:g} MB"
        with path.open("rb") as file:
            return "binary" if is_binary(file.read(_HEAD_BYTES)) else size
    except OSError as error:
        return f"unreadable: {error.strerror}"


def is_binary(head: bytes) -> bool:
    """Whether these first bytes are no text: a zero byte, or many control characters.

    UTF-16 has zero bytes, too; it is text if it starts with its byte order mark.
    """
    if head.startswith(_BYTE_ORDER_MARKS):
        return False
    if b"\0" in head:
        return True
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\b\x1b" for byte in head)  # noqa: PLR2004
    return controls * 20 > len(head)
