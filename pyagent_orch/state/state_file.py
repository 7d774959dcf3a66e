"""The state file of an orchestrator: is told what is sent, follows how it ends.

Above the store, below the facade. The dispatcher tells it what it sent, before
`submit` returns; the listener shows it every event, before anybody who waits
hears of it: so what a user has seen to be submitted or final is in the file. It
is one object for each file and process, shared by its orchestrators.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import OrchestratorConnectionError, StateFileError
from pyagent_orch.models.events import Event
from pyagent_orch.state.callbacks import name_of
from pyagent_orch.state.entries import (
    base_of,
    is_final,
    is_plain,
    of_agent,
    of_new_task,
    of_new_workflow,
    state_of,
)
from pyagent_orch.state.index import AGENT, TASK, WORKFLOW, Key
from pyagent_orch.state.journal import Journal
from pyagent_orch.state.lines import Entry
from pyagent_orch.store import RedisError, Store
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.snapshots import RawRecord
from pyagent_orch.store.workflows import NewWorkflow

if TYPE_CHECKING:
    from pyagent_orch.listener import Listener
    from pyagent_orch.listener.follower import Adopter

logger = logging.getLogger(__name__)

ENDS = frozenset({"completed", "failed", "cancelled", "skipped"})
_STEPS = frozenset({"retried", "requeued", "expanded", "recovered"})
"""What else changes a record in a way that is worth an entry."""
_CHANGES = {
    "cancel_v1": TASK,
    "requeue_v1": TASK,
    "cancel_workflow_v1": WORKFLOW,
    "retry_workflow_v1": WORKFLOW,
}
"""Acts by which somebody changes what is recorded, and of what they take the id."""
_CALLED = "called"
_LOCAL = ('"kind":"local"', '"local:')
Callback = Callable[..., object] | None


class StateFile:
    """A state file in use. Safe to share between threads; a forked child has none.

    Not made by hand: `StateFile.acquire` gives out the process's own.
    """

    _files: dict[tuple[int, Path], StateFile] = {}  # noqa: RUF012 - shared on purpose
    _files_lock = threading.RLock()

    def __init__(self, journal: Journal, *, everything: bool) -> None:
        self.journal = journal
        self.everything = everything
        """Whether all that is recorded in the namespace is its own (the embedded mode)."""
        self.restored = False
        """Whether the file has been compared with Redis since it was opened."""
        self.open: set[Key] = set()
        """What the file has and what has not ended."""
        self.waiting: set[Key] = set()
        """What has a callback that the file knows and that has not been called."""
        self._store: Store | None = None
        self._acts: list[Acts] = []
        self._users = 0
        self._expected: set[Key] = set()
        self._early: set[Key] = set()
        self._unsaved: dict[Key, None] = {}
        self._position = (0, 0)
        # Who reads Redis and writes what he read; appending alone does not take it.
        self.following = threading.RLock()
        self._warned: set[str] = set()

    # --- life -----------------------------------------------------------------------------

    @classmethod
    def acquire(cls, path: Path, settings: Settings) -> Self | StateFile:
        """Take the file for this process, or share the one that it has.

        Raises:
            StateFileError: another process has it, or it cannot be used; see `Journal.open`.
        """
        place = (os.getpid(), path.expanduser().resolve())
        with cls._files_lock:
            found = cls._files.get(place)
            if found is None:
                journal = Journal.open(
                    path,
                    settings.namespace,
                    fsync=settings.state_fsync,
                    record_ttl=settings.record_ttl_seconds * 1000,
                )
                found = cls._files[place] = cls(journal, everything=settings.redis_url is None)
            elif found.journal.identity.namespace != settings.namespace:
                raise StateFileError(
                    str(path),
                    f"it is in use in this process for namespace "
                    f"{found.journal.identity.namespace!r}; use another file for "
                    f"{settings.namespace!r}",
                )
            found._users += 1
            return found

    def attach(self, store: Store) -> None:
        """Say which Redis it belongs to.

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
        self._acts.append(store.acts)
        store.acts.after = self._after

    def begin(self, listener: Listener, adopter: Adopter) -> None:
        """Compare it with Redis and take up what an earlier process left; once.

        Args:
            listener: follows the events already.
            adopter: makes live objects for callbacks.

        Raises:
            StateFileError: the file cannot be written.
            OrchestratorConnectionError: Redis is out of reach.
        """
        from pyagent_orch.state.restore import restore_callbacks

        with self.following:
            if not self.restored:
                self.catch_up()
                if self.waiting:
                    restore_callbacks(self, listener, adopter)

    @property
    def store(self) -> Store:
        """The Redis that it belongs to."""
        if self._store is None:
            raise StateFileError(str(self.journal.path), "it belongs to no Redis yet")
        return self._store

    def release(self) -> None:
        """Say that one user is done; the last one gives the file free."""
        with self._files_lock:
            self._users -= 1
            place = (os.getpid(), self.journal.path)
            if self._users > 0 or self._files.get(place) is not self:
                return
            del self._files[place]
        for acts in self._acts:
            acts.after = None
        self.journal.close()

    # --- the dispatcher tells (Recorder) --------------------------------------------------

    @contextmanager
    def expecting(self, tasks: Iterable[str], workflow: str = "") -> Iterator[None]:
        """Around the act that records: events may be here before its answer is.

        Raises:
            StateFileError: the file cannot be written now; nothing was sent.
        """
        if self._unsaved:
            self._save_unsaved()
        keys = {(TASK, task) for task in tasks}
        if workflow:
            keys.add((WORKFLOW, workflow))
        self._expected |= keys
        try:
            yield
        finally:
            self._expected -= keys

    def tasks(
        self,
        tasks: Sequence[NewTask],
        agents: Mapping[str, str],
        created: int,
        callbacks: Mapping[str, Callback],
    ) -> None:
        """Take tasks that have just been recorded.

        Args:
            tasks: as they were sent.
            agents: maps the content hashes of their agents to their JSON.
            created: when they were recorded, ms.
            callbacks: maps task ids to what is to be called.

        Raises:
            StateFileError: it cannot be written; the tasks run all the same.
        """
        entries = self._agents(agents, created)
        for new in tasks:
            self._warn_local(new, agents)
            callback = self._callback((TASK, new.id), callbacks.get(new.id))
            entries += of_new_task(new, created, callback=callback)
        self._append_sent(entries, [(TASK, new.id) for new in tasks])

    def workflow(
        self, new: NewWorkflow, created: int, callbacks: Mapping[str, Callback], whole: Callback
    ) -> None:
        """Take a workflow that has just been recorded, with its tasks.

        Args:
            new: as it was sent.
            created: when it was recorded, ms.
            callbacks: maps task ids to what is to be called.
            whole: what is to be called when all of it is final.

        Raises:
            StateFileError: it cannot be written; the workflow runs all the same.
        """
        entries = self._agents(new.agents, created)
        for task in new.tasks:
            self._warn_local(task, new.agents)
            callback = self._callback((TASK, task.id), callbacks.get(task.id))
            entries += of_new_task(task, created, new.id, callback)
        callback = self._callback((WORKFLOW, new.id), whole)
        # Last, so that half of a workflow is none.
        entries.append(of_new_workflow(new.id, new.fields, new.deadline_ms, created, callback))
        keys = [(TASK, task.id) for task in new.tasks]
        self._append_sent(entries, [*keys, (WORKFLOW, new.id)])

    def adopt(self, task_ids: Sequence[str]) -> None:
        """Take tasks that were there already when they were submitted, if they are not known."""
        new = [(TASK, task) for task in task_ids if not self.journal.tally.has(TASK, task)]
        if new:
            self.save(new)

    def _append_sent(self, entries: list[Entry], keys: Iterable[Key]) -> None:
        keys = list(keys)
        try:
            self._append(entries)
        except StateFileError as error:
            self._unsaved.update(dict.fromkeys(keys))
            names = ", ".join(name for _, name in keys[:3]) + (" ..." if len(keys) > 3 else "")  # noqa: PLR2004 - as many as shown
            raise StateFileError(
                error.path,
                f"{error.problem}. What was submitted ({names}) is recorded in Redis and runs; it "
                "comes into the file once that can be written again",
            ) from error

    def _append(self, entries: list[Entry]) -> None:
        self.journal.append(entries)
        for entry in entries:
            noun, _, verb = entry.kind.partition(".")
            key = (noun, entry.id)
            if entry.final is not None:
                self.open.discard(key)
                if key in self._expected:
                    self._early.add(key)
            elif key in self._early and not verb:
                # Its end was written before this beginning.
                self._early.discard(key)
            elif noun != AGENT:
                self.open.add(key)

    def _agents(self, agents: Mapping[str, str], created: int) -> list[Entry]:
        return [
            of_agent(content_hash, text, created)
            for content_hash, text in agents.items()
            if not self.journal.tally.has(AGENT, content_hash)
        ]

    def _callback(self, key: Key, callback: Callback) -> str:
        if callback is None:
            return ""
        name = name_of(callback)
        if name:
            self.waiting.add(key)
        else:
            self._warn_once(
                "callback",
                f"The callback {callback!r} is not at the top of a module under its own name: "
                f"should this process end before {key[0]} {key[1]} does, it cannot be restored "
                "from the state file, and is not called.",
            )
        return name

    def _warn_local(self, new: NewTask, agents: Mapping[str, str]) -> None:
        if "agent" in self._warned:
            return
        texts = (agents.get(str(new.fields["agent"]), ""), new.fields.get("template"))
        if any(mark in str(text) for text in (*texts, new.fields.get("when")) for mark in _LOCAL):
            self._warn_once(
                "agent",
                f"Task {new.fields['name']!r} uses a function that only this process has: should "
                "the process end before the task does, it cannot go on and fails. Register the "
                "function with @register_agent in a module that PYAGENT_ORCH_AGENTS names.",
            )

    def _warn_once(self, what: str, text: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("%s (This is said once.)", text)

    # --- the listener shows (Witness) -----------------------------------------------------

    def see(self, events: Sequence[Event]) -> None:
        """Take a page of events, before anybody else hears of them.

        Raises:
            OrchestratorConnectionError: Redis is out of reach; the page is shown again.
        """
        with self.following:
            fresh = [event for event in events if _order(event.id) > self._position]
            keys: dict[Key, None] = dict(self._unsaved)
            for event in fresh:
                self._sort(event, keys)
            self._save_quietly(list(keys))
            if fresh:
                self._position = _order(fresh[-1].id)

    def _sort(self, event: Event, keys: dict[Key, None]) -> None:
        noun, _, verb = event.type.partition(".")
        if noun not in (TASK, WORKFLOW):
            return
        key = (noun, event.subject)
        if verb in ENDS:
            if key in self.open or key in self._expected:
                keys[key] = None
        elif verb in _STEPS:
            if self.journal.tally.has(*key) or key in self._expected:
                keys[key] = None
        elif (
            # Sent by a forked child, a schedule or a flow.
            verb == "submitted"
            and self.everything
            and key not in self._expected
            and not self.journal.tally.has(*key)
        ):
            keys[key] = None

    def ended(self, noun: str, name: str) -> None:
        """Somebody has read that it is final, and is about to hear of it."""
        if (noun, name) in self.open:
            self._save_quietly([(noun, name)])

    def called(self, noun: str, name: str) -> None:
        """Its callbacks have been called."""
        key = (noun, name)
        if key not in self.waiting:
            return
        self.waiting.discard(key)
        with self.following:
            raw = next(self._read([key]), None)
            if raw is None:
                return
            entry = Entry(f"{noun}.{_CALLED}", name, int(raw.fields["created"]))
            try:
                self.journal.append([entry])
            except StateFileError as error:
                logger.error("%s The callback of %s %s is called again.", error, noun, name)  # noqa: TRY400 - nothing to trace

    # --- reading Redis, writing what it has -------------------------------------------------

    def _after(self, act: str, subject: str) -> None:
        noun = _CHANGES.get(act)
        if noun is not None:
            self.changed(noun, [subject])

    def changed(self, noun: str, names: Iterable[str]) -> None:
        """Write what somebody has just changed by a call, before that returns.

        Raises:
            StateFileError: the file cannot be written; the change is recorded in Redis.
        """
        keys = [(noun, name) for name in names if self.journal.tally.has(noun, name)]
        if noun == WORKFLOW:
            members = (self.store.workflows.task_ids(name) for _, name in keys)
            keys = [*((TASK, name) for names in members for name in names), *keys]
        if not keys:
            return
        try:
            self.save(keys, moved=True)
        except StateFileError as error:
            self._unsaved.update(dict.fromkeys(keys))
            raise StateFileError(
                error.path,
                f"{error.problem}. The change is recorded in Redis; it comes into the file once "
                "that can be written again",
            ) from error

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
                raws = [
                    (key, raw) for key, raw in zip(agenda, self._read(agenda), strict=True) if raw
                ]
                found += [pair for pair in raws if not moved or self._has_moved(*pair)]
                agenda = [key for _, raw in raws for key in self._spawned(raw, seen)]
                seen.update(agenda)
            # A workflow after its tasks, so that half of one is none.
            found.sort(key=lambda pair: pair[0][0] == WORKFLOW)
            self._write(found)

    def _save_quietly(self, keys: Sequence[Key]) -> None:
        if not keys:
            return
        try:
            self.save(keys)
        except StateFileError as error:
            if not self._unsaved:
                logger.error("%s What ends meanwhile is written later.", error)  # noqa: TRY400 - nothing to trace
            self._unsaved.update(dict.fromkeys(keys))
        else:
            for key in keys:
                self._unsaved.pop(key, None)

    def _save_unsaved(self) -> None:
        keys = list(self._unsaved)
        try:
            self.save(keys)
        except StateFileError as error:
            raise StateFileError(error.path, f"{error.problem}. Nothing was sent") from error
        for key in keys:
            self._unsaved.pop(key, None)

    def _read(self, keys: Sequence[Key]) -> Iterator[RawRecord | None]:
        """The records of these keys, in their order."""
        snapshots = self.store.snapshots
        tasks = snapshots.tasks([name for noun, name in keys if noun == TASK])
        workflows = snapshots.workflows([name for noun, name in keys if noun == WORKFLOW])
        for noun, _ in keys:
            yield next(tasks if noun == TASK else workflows)

    def _has_moved(self, key: Key, raw: RawRecord) -> bool:
        return is_final(key[0], raw.fields["status"]) == (key in self.open)

    def _spawned(self, raw: RawRecord, seen: set[Key]) -> list[Key]:
        """The tasks that a flow has added, or that a foreign workflow has, and are not known."""
        if "agent" in raw.fields:
            names: Iterable[str] = raw.fields.get("expanded", "").split()
        elif not self.journal.tally.has(WORKFLOW, raw.id):
            names = self.store.workflows.task_ids(raw.id)
        else:
            return []
        keys = ((TASK, name) for name in names)
        return [key for key in keys if key not in seen and not self.journal.tally.has(*key)]

    def _write(self, found: Iterable[tuple[Key, RawRecord]]) -> None:
        entries: list[Entry] = []
        wanted: dict[str, None] = {}
        for (noun, name), raw in found:
            state = state_of(noun, raw)
            if not self.journal.tally.has(noun, name) and (noun, name) not in self._expected:
                base = base_of(noun, raw)
                wanted.update(dict.fromkeys(base.agents))
                entries.append(base)
                if is_plain(state):
                    continue
            entries.append(state)
        unknown = [one for one in wanted if not self.journal.tally.has(AGENT, one)]
        if unknown:
            now = time.time_ns() // 1_000_000
            entries = self._agents(self.store.workflows.agents(unknown), now) + entries
        if entries:
            self._append(entries)

    def catch_up(self) -> None:
        """Compare with Redis after it was out of sight; what it has lost is restored."""
        from pyagent_orch.state.restore import restore

        with self.following:
            # What was before that is in the records, which are compared.
            self._position = _order(self.store.events.last_id())
            restore(self)

    def drain(self) -> None:
        """Take the events that the listener has not shown yet; before the connection closes."""
        try:
            with self.following:
                while events := self.store.events.read(f"{self._position[0]}-{self._position[1]}"):
                    self.see(events)
        except (OrchestratorConnectionError, RedisError) as error:
            logger.debug("The last events are not in the state file: %s", error)


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
