"""The state file on the disk: one process has it, appends to it, and tidies it up.

Part of the room of the state file; knows lines, and of their meaning only what is
outdated. Appending costs the same however long the file is. When more than half
of the lines say nothing any more, a thread writes the others to a new file beside
it, which then takes its place; who appends meanwhile waits only for the last step.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self, TypeVar

from pyagent_orch.embedded.locks import drop
from pyagent_orch.exceptions import StateFileError
from pyagent_orch.state.document import Identity, sync_directory, write_new
from pyagent_orch.state.index import Group, Reading, Tally
from pyagent_orch.state.lines import Entry, encode
from pyagent_orch.state.opening import lock_file, open_file
from pyagent_orch.state.pages import Pages

logger = logging.getLogger(__name__)
T = TypeVar("T")

SYNC_SECONDS = 1.0
"""How often `everysec` brings what was written to the disk."""
LOOK_SECONDS = 60.0
"""How often the file is looked at, whether to tidy it up."""
LEAST_LINES = 2_000
"""A shorter file is never tidied up: it is not worth it."""
_UNTIDY_SHARE = 0.5
_BREATH_LINES, _BREATH_SECONDS = 250, 0.0005
_LAST_BYTES = 64 * 1024
_datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Journal:
    """An open state file. Safe to share between threads; a forked child has none.

    Made by `Journal.open`. `close` gives the file free for another process.
    """

    def __init__(
        self, path: Path, lock: int, identity: Identity, descriptor: int, pages: Pages
    ) -> None:
        self.path, self.identity = path, identity
        self.record_ttl = 0
        """How long an entry outlives its end, ms; 0: for ever."""
        self.tally = Tally()
        self._owner, self._lock_file = os.getpid(), lock
        self._descriptor, self._pages = descriptor, pages
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._tidying = threading.Lock()
        self._always = False
        self._written = self._synced = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._next_look = time.monotonic()
        self._thread = threading.Thread(target=self._tend, name="pyagent-state", daemon=True)

    @classmethod
    def open(
        cls,
        path: Path,
        namespace: str,
        *,
        fsync: Literal["everysec", "always"] = "everysec",
        record_ttl: int = 0,
    ) -> Self:
        """Take a state file for this process; made when it is not there, repaired when it must be.

        Args:
            path: where it is; its directory is made too.
            namespace: of what is in it.
            fsync: whether each entry is brought to the disk before `append` returns. Matters
                for a power cut only; a killed process loses nothing.
            record_ttl: how long an entry outlives its end, ms; 0: for ever.

        Raises:
            StateFileError: another process has it, it is something else, or of another
                namespace, or the disk refuses.
        """
        path = path.expanduser().resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = lock_file(path)
            try:
                identity, descriptor, pages = open_file(path, namespace)
            except BaseException:
                drop(lock)
                raise
        except (OSError, ImportError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise StateFileError(str(path), f"it cannot be used here: {problem}") from error
        journal = cls(path, lock, identity, descriptor, pages)
        journal._always, journal.record_ttl = fsync == "always", record_ttl
        with journal.reading() as reading:
            _count(journal.tally, reading.groups())
        journal._thread.start()
        _open_journals.add(journal)
        return journal

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it."""
        return self._owner == os.getpid()

    @property
    def oldest_final(self) -> int:
        """What became final before has expired by now, here as in the store; ms."""
        return time.time_ns() // 1_000_000 - self.record_ttl if self.record_ttl else 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries; when it returns, no kill of any process loses them.

        Raises:
            StateFileError: the disk refuses, or the file is closed.
        """
        encoded = [encode(entry) for entry in entries]
        with self._lock:
            if self._closing.is_set() or not self.is_ours:
                raise StateFileError(str(self.path), "it is closed")
            try:
                self._pages.write(line for lines in encoded for line in lines)
            except OSError as error:
                raise StateFileError(
                    str(self.path), f"it cannot be written: {error.strerror or error}"
                ) from error
            for entry, lines in zip(entries, encoded, strict=True):
                self.tally.count(entry.kind, entry.id, len(lines), entry.final)
            self._written = ticket = self._written + 1
        if self._always:
            self._sync(ticket)
        elif not self._wake.is_set():
            self._wake.set()

    def reading(self) -> Reading:
        """The file as it is now; its caller closes it."""
        with self._lock:
            if self._descriptor < 0:
                raise StateFileError(str(self.path), "it is closed")
            return Reading(self._descriptor, self._pages.end)

    # --- the thread: the disk, and tidying up ----------------------------------------------

    def _sync(self, ticket: int) -> None:
        """Bring what was written to the disk; one call does for all who wait."""
        with self._sync_lock:
            if self._synced >= ticket:
                return
            written = self._written
            try:
                _datasync(self._descriptor)
            except OSError as error:
                raise StateFileError(
                    str(self.path), f"it does not come to the disk: {error.strerror or error}"
                ) from error
            self._synced = written

    def _tend(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            try:
                if not self._always and not self._closing.wait(SYNC_SECONDS):
                    self._sync(self._written)
                if time.monotonic() >= self._next_look:
                    self._next_look = time.monotonic() + LOOK_SECONDS
                    if self._is_untidy():
                        self.tidy()
            except (OSError, StateFileError):
                self._next_look = time.monotonic() + 10 * LOOK_SECONDS
                logger.exception("The state file %s cannot be tended; trying later", self.path)

    def _is_untidy(self) -> bool:
        tally = self.tally
        return (
            tally.lines >= LEAST_LINES
            and tally.outdated(self.oldest_final) > _UNTIDY_SHARE * tally.lines
        )

    def tidy(self) -> None:
        """Write a file without what is outdated, and put it in the place of this one.

        Raises:
            OSError: the disk refuses; the file stays as it is.
        """
        with self._tidying:
            self._tidy()

    def _tidy(self) -> None:
        with self.reading() as reading:
            lives = reading.index(self._pace).live(self.oldest_final, self._pace)
            kept = {span.last for known in lives.values() for span in known.spans()}
            tally = Tally.of(lives, self._pace)
            descriptor, pages, fresh = write_new(self.path, self.identity)
            try:
                for group in reading.groups(pace=self._pace):
                    if group.span.last in kept:
                        pages.write(group.lines)
                # What came meanwhile; the last of it while everybody waits.
                stop = self._follow(reading.stop, pages, tally)
                _datasync(descriptor)
                with self._sync_lock, self._lock:
                    with Reading(self._descriptor, self._pages.end) as rest:
                        _count(tally, _written(pages, rest.groups(stop)))
                    if self._always:
                        _datasync(descriptor)
                    fresh.replace(self.path)
                    old, self._descriptor = self._descriptor, descriptor
                    self._pages, self.tally = pages, tally
                    if self._always:
                        # Before somebody relies on what is written to the new file only.
                        _sync_name(self.path)
            except BaseException:
                if self._descriptor != descriptor:
                    os.close(descriptor)
                    fresh.unlink(missing_ok=True)
                raise
        os.close(old)
        _sync_name(self.path)

    def _follow(self, stop: int, pages: Pages, tally: Tally) -> int:
        before = float("inf")
        while True:
            with self.reading() as reading:
                # Enough, also when others write faster than this copies.
                if reading.stop - stop <= _LAST_BYTES or reading.stop - stop > before:
                    return stop
                before = reading.stop - stop
                _count(tally, _written(pages, reading.groups(stop)))
                stop = reading.stop

    def _pace(self, things: Iterable[T]) -> Iterator[T]:
        """Let other threads work, too; raises OSError when the file is being closed."""
        for number, thing in enumerate(things):
            yield thing
            if not number % _BREATH_LINES:
                if self._closing.is_set():
                    raise OSError("it is being closed")
                time.sleep(_BREATH_SECONDS)

    def close(self) -> None:
        """Bring everything to the disk and give the file free. Idempotent."""
        _open_journals.discard(self)
        with self._lock:
            if self._closing.is_set() or not self.is_ours:
                return
            self._closing.set()
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        try:
            self._sync(self._written)
        finally:
            with self._lock:
                os.close(self._descriptor)
                self._descriptor = -1
            drop(self._lock_file)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's file, so that it is free when that ends."""
        # Closed, not unlocked: the lock is the parent's.
        for descriptor in (self._descriptor, self._lock_file):
            with suppress(OSError):
                os.close(descriptor)
        self._descriptor = -1


_open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _abandon_all() -> None:
    for journal in list(_open_journals):
        journal.abandon()
    _open_journals.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def _count(tally: Tally, found: Iterable[Group]) -> None:
    for group in found:
        tally.count(group.head.kind, group.head.id, group.span.lines, group.head.final)


def _written(pages: Pages, found: Iterable[Group]) -> Iterator[Group]:
    for group in found:
        pages.write(group.lines)
        yield group


def _sync_name(path: Path) -> None:
    try:
        sync_directory(path)
    except OSError:
        logger.exception("The directory of %s does not come to the disk", path)
