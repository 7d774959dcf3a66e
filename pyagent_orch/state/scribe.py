"""Who writes the entries of a state file: what was sent, and how records stand.

Part of the room of the state file. Shared by who is told (`state_file.py`), who
follows (`witness.py`) and who compares (`restore.py`); it knows what is open, what
waits for a callback, and what the disk has refused.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyagent_orch.exceptions import StateFileError
from pyagent_orch.state.entries import (
    base_of,
    is_final,
    is_plain,
    of_agent,
    state_of,
)
from pyagent_orch.state.index import AGENT, JOB, TASK, WORKFLOW, Key
from pyagent_orch.state.journal import Journal
from pyagent_orch.state.lines import Entry
from pyagent_orch.store import Store
from pyagent_orch.store.snapshots import RawRecord

logger = logging.getLogger(__name__)


class Scribe:
    """Writes one state file. Safe to share between threads.

    Args:
        journal: the open file.
        everything: whether all that is recorded in the namespace is the file's own (the
            embedded mode), or only what this process sent.
    """

    def __init__(self, journal: Journal, *, everything: bool) -> None:
        self.journal, self.everything = journal, everything
        self.open: set[Key] = set()
        """What the file has and what has not ended."""
        self.waiting: set[Key] = set()
        """What has a callback that the file knows and that has not been called."""
        self.expected: set[Key] = set()
        """What is being sent just now."""
        self.unsaved: dict[Key, None] = {}
        """What the disk has refused; it is tried again."""
        self.following = threading.RLock()
        """Held by who reads Redis and writes what he read; appending alone does not take it."""
        self._early: set[Key] = set()
        self._revisions: dict[str, tuple[str, str]] = {}
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The Redis that the file belongs to."""
        if self._store is None:
            raise StateFileError(str(self.journal.path), "it belongs to no Redis yet")
        return self._store

    def attach(self, store: Store) -> None:
        """Say which Redis the file belongs to.

        Raises:
            StateFileError: another orchestrator of this process has it for another Redis.
        """
        label = store.address.label
        if self._store is not None and self._store.address.label != label:
            raise StateFileError(
                str(self.journal.path),
                f"it is in use in this process for the Redis at {self._store.address.label}; "
                f"use another file for the one at {label}",
            )
        self._store = store

    def has(self, key: Key) -> bool:
        """Whether the file has what something began with."""
        return self.journal.tally.has(*key)

    # --- entries --------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, and note what is open after them.

        Raises:
            StateFileError: the file cannot be written.
        """
        self.journal.append(entries)
        for entry in entries:
            noun, _, verb = entry.kind.partition(".")
            key = (noun, entry.id)
            if entry.final is not None:
                self.open.discard(key)
                if key in self.expected:
                    self._early.add(key)
            elif key in self._early and not verb:
                # Its end was written before this beginning.
                self._early.discard(key)
            elif noun != AGENT:
                self.open.add(key)

    def agents(self, agents: Mapping[str, str], created: int) -> list[Entry]:
        """Entries of those agents that the file does not have.

        Args:
            agents: maps content hashes to JSON.
            created: ms.
        """
        return [
            of_agent(content_hash, text, created)
            for content_hash, text in agents.items()
            if not self.has((AGENT, content_hash))
        ]

    def forget(self, key: Key, created: int) -> None:
        """Take something out of the file.

        Raises:
            StateFileError: the file cannot be written.
        """
        self.journal.append([Entry(f"{key[0]}.gone", key[1], created)])
        self.journal.tally.forget(*key)
        self.open.discard(key)
        self.waiting.discard(key)

    # --- what Redis has -------------------------------------------------------------------

    def save(self, keys: Sequence[Key], *, moved: bool = False) -> None:
        """Write how records stand now; what they began with, too, if that is not known.

        Args:
            keys: of which records.
            moved: only those that have ended, or have been taken up again, since.

        Raises:
            StateFileError: the file cannot be written.
            OrchestratorConnectionError: Redis is out of reach.
        """
        with self.following:
            agenda, seen = list(keys), set(keys)
            found: list[tuple[Key, RawRecord]] = []
            while agenda:
                read = list(zip(agenda, self._read(agenda), strict=True))
                raws = [(key, raw) for key, raw in read if raw is not None]
                for key, raw in read:
                    if raw is None and key[0] == JOB and self.has(key):
                        self.forget(key, 0)
                found += [pair for pair in raws if not moved or self._has_moved(*pair)]
                agenda = [key for key, raw in raws for key in self._spawned(key, raw, seen)]
                seen.update(agenda)
            # A workflow after its tasks, so that half of one is none.
            found.sort(key=lambda pair: pair[0][0] == WORKFLOW)
            self._write(found)

    def save_quietly(self, keys: Sequence[Key]) -> None:
        """Save; what the disk refuses is logged and written later.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        if not keys:
            return
        try:
            self.save(keys)
        except StateFileError as error:
            if not self.unsaved:
                logger.error("%s What ends meanwhile is written later.", error)  # noqa: TRY400 - nothing to trace
            self.unsaved.update(dict.fromkeys(keys))
        else:
            for key in keys:
                self.unsaved.pop(key, None)

    def save_unsaved(self) -> None:
        """Write what the disk has refused before.

        Raises:
            StateFileError: it refuses it again.
            OrchestratorConnectionError: Redis is out of reach.
        """
        keys = list(self.unsaved)
        self.save(keys)
        for key in keys:
            self.unsaved.pop(key, None)

    def _read(self, keys: Sequence[Key]) -> Iterator[RawRecord | None]:
        """The records of these keys, in their order."""
        snapshots = self.store.snapshots
        readers = {TASK: snapshots.tasks, WORKFLOW: snapshots.workflows, JOB: snapshots.jobs}
        found = {
            noun: read([name for one, name in keys if one == noun])
            for noun, read in readers.items()
        }
        for noun, _ in keys:
            yield next(found[noun])

    def _has_moved(self, key: Key, raw: RawRecord) -> bool:
        return is_final(key[0], raw.fields["status"]) == (key in self.open)

    def _spawned(self, key: Key, raw: RawRecord, seen: set[Key]) -> list[Key]:
        """The tasks that a flow has added, or that a foreign workflow has, and are not known."""
        names: Iterable[str] = ()
        if key[0] == TASK:
            names = raw.fields.get("expanded", "").split()
        elif key[0] == WORKFLOW and not self.has(key):
            names = self.store.workflows.task_ids(raw.id)
        keys = ((TASK, name) for name in names)
        return [one for one in keys if one not in seen and not self.has(one)]

    def _write(self, found: Iterable[tuple[Key, RawRecord]]) -> None:
        entries: list[Entry] = []
        wanted: dict[str, None] = {}
        for key, raw in found:
            state = state_of(key[0], raw)
            new = not self.has(key) and key not in self.expected
            if key[0] == JOB:
                # Its owner may change everything, or have removed one of this id before.
                revision = (raw.fields["created"], raw.fields.get("rev", ""))
                new = self._revisions.get(raw.id) != revision or not self.has(key)
                self._revisions[raw.id] = revision
            if new:
                base = base_of(key[0], raw)
                wanted.update(dict.fromkeys(base.agents))
                entries.append(base)
                if is_plain(state):
                    continue
            entries.append(state)
        unknown = [one for one in wanted if not self.has((AGENT, one))]
        if unknown:
            now = time.time_ns() // 1_000_000
            entries = self.agents(self.store.workflows.agents(unknown), now) + entries
        if entries:
            self.append(entries)
