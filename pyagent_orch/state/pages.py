"""The bytes of a state file: one JSON document that grows without ever being invalid.

    {"format":"pyagent_orch state","version":1,...,"entries":[
    {...},
    {...}
    (blanks)
    ]}

Part of the room of the state file; knows bytes, no entries. A `write` may be cut
short by SIGKILL, since the kernel looks for it between two pages (measured: of
150 processes killed while they appended lines of 10 kB, 85 left half a line). What
lies within one page it copies whole or not at all. So the closing bracket stays
where it is, lines are written over the blanks before it, and none crosses the
border of a 4 KiB block: whatever moment the process is killed at, the document is
valid (measured: 900 kills, 0 invalid). Only when the blanks are used up has the
bracket to move, which no file system can do in one step together with what it
moves over: two system calls, once for each quarter that the file grows by.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

BLOCK = 4096
"""No page of any kernel is smaller."""
CLOSING = b"\n]}\n"
BEGINNING = b'{"kind"'
"""How the line of an entry begins."""
_LEAST_STEP, _MOST_STEP = 64 * BLOCK, 4096 * BLOCK
_CHUNK = 1 << 20
_BLANK_BLOCK = b" " * (BLOCK - 1) + b"\n"
_SEPARATOR = b",\n"


class Pages:
    """An open document. For one thread at a time; whoever opens the file closes it.

    Args:
        descriptor: the open file; a clean document (see `write_new`).
        end: where the next line goes.
        size: the file's length, a multiple of `BLOCK`.
    """

    def __init__(self, descriptor: int, end: int, size: int) -> None:
        self.descriptor, self.end, self.size = descriptor, end, size

    @classmethod
    def create(cls, descriptor: int, opening: bytes, lines: Iterable[bytes] = ()) -> Pages:
        """Write a new document into an empty file.

        Args:
            descriptor: the file.
            opening: all up to and with the first entry, shorter than a block.
            lines: further entries.

        Raises:
            OSError: the disk is full or broken.
        """
        pages = cls(descriptor, len(opening), 2 * BLOCK)
        blank = opening.ljust(BLOCK) + b" " * (BLOCK - len(CLOSING)) + CLOSING
        _write_all(descriptor, blank, 0)
        pages.write(lines)
        return pages

    def write(self, lines: Iterable[bytes]) -> None:
        """Put lines behind the last one, each whole or not at all.

        Args:
            lines: JSON objects of less than a block, without line breaks.

        Raises:
            OSError: the disk is full or broken; lines before the one that failed may stand.
        """
        start = self.end
        buffer = bytearray()
        for line in lines:
            used = (start + len(buffer)) % BLOCK
            if buffer and (not used or used + len(_SEPARATOR) + len(line) > BLOCK):
                self._flush(buffer, start)
                start = self.end
                buffer.clear()
            if not buffer:
                start = self._place(start, len(_SEPARATOR) + len(line))
            buffer += _SEPARATOR
            buffer += line
        self._flush(buffer, start)

    def _place(self, place: int, length: int) -> int:
        """Where a line of this length goes: at this place, or in the next block."""
        if place % BLOCK + length > BLOCK:
            place += BLOCK - place % BLOCK
        # The last block is the bracket's.
        while place >= self.size - BLOCK:
            self._grow()
        return place

    def _flush(self, buffer: bytearray, start: int) -> None:
        if not buffer:
            return
        try:
            written = os.pwrite(self.descriptor, buffer, start)
        except OSError:
            # It may have come to the page and not to the disk, or not at all.
            written = 0
        if written != len(buffer):
            os.pwrite(self.descriptor, b" " * len(buffer), start)
            raise OSError("the file takes no more")
        self.end = start + len(buffer)

    def _grow(self) -> None:
        """Put more blanks behind the bracket, then the bracket behind them."""
        step = max(_LEAST_STEP, min(_MOST_STEP, self.size // 4 // BLOCK * BLOCK))
        last = self.size - len(CLOSING)
        try:
            for start in range(self.size, self.size + step, _CHUNK):
                blocks = min(_CHUNK, self.size + step - start) // BLOCK
                _write_all(self.descriptor, _BLANK_BLOCK * blocks, start)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        # Until the second of these two there are two brackets; opening repairs that.
        _write_all(self.descriptor, CLOSING, self.size + step - len(CLOSING))
        _write_all(self.descriptor, b" " * len(CLOSING), last)
        self.size += step


def _write_all(descriptor: int, content: bytes, start: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], start + written)


def raw_lines(descriptor: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Read the lines between two places, with the place of each; line breaks are left out.

    Args:
        descriptor: an open file.
        start: where to begin, bytes.
        stop: where to end, bytes.
    """
    rest, place = b"", start
    position = start
    while position < stop:
        chunk = os.pread(descriptor, min(_CHUNK, stop - position), position)
        if not chunk:
            break
        position += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield place, line
            place += len(line) + 1
    if rest:
        yield place, rest


def entry_lines(descriptor: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Read the entries of a clean document between two places, with the place of each."""
    for place, raw in raw_lines(descriptor, start, stop):
        line = raw.strip(b" ,")
        if line.startswith(BEGINNING):
            yield place, line
