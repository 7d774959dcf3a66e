"""The state file of an orchestrator: is told what is sent before a submit returns.

Above the store, below the facade; implements the dispatcher's `Recorder`. One
object for each file and process, shared by the orchestrators of the process.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import StateFileError
from pyagent_orch.state.callbacks import name_of
from pyagent_orch.state.entries import of_new_task, of_new_workflow
from pyagent_orch.state.index import JOB, TASK, WORKFLOW, Key
from pyagent_orch.state.journal import Journal
from pyagent_orch.state.lines import Entry
from pyagent_orch.state.restore import restore_callbacks
from pyagent_orch.state.scribe import Scribe
from pyagent_orch.state.witness import StateWitness
from pyagent_orch.store import Store
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.workflows import NewWorkflow

if TYPE_CHECKING:
    from pyagent_orch.listener import Listener
    from pyagent_orch.listener.handlers import Adopter

logger = logging.getLogger(__name__)

_CHANGES = {
    "cancel_v1": TASK,
    "requeue_v1": TASK,
    "cancel_workflow_v1": WORKFLOW,
    "retry_workflow_v1": WORKFLOW,
    "schedule_v1": JOB,
    "unschedule_v1": JOB,
}
"""Acts by which somebody changes what is recorded, and of what they take the id."""
_LOCAL = ('"kind":"local"', '"local:')
_SHOWN = 3
Callback = Callable[..., object] | None


class StateFile:
    """A state file in use. Safe to share between threads; a forked child has none.

    Not made by hand: `StateFile.acquire` gives out the process's own.
    """

    _files: dict[tuple[int, Path], StateFile] = {}  # noqa: RUF012 - shared on purpose
    _files_lock = threading.RLock()

    def __init__(self, journal: Journal, *, everything: bool) -> None:
        self._journal = journal
        self._scribe = Scribe(journal, everything=everything)
        self.witness = StateWitness(self._scribe)
        """For the listeners."""
        self._users = 0
        self._begun = False
        self._acts: list[Acts] = []
        self._warned: set[str] = set()

    # --- life -----------------------------------------------------------------------------

    @classmethod
    def acquire(cls, path: Path, settings: Settings) -> StateFile:
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
            elif found._journal.identity.namespace != settings.namespace:
                raise StateFileError(
                    str(path),
                    f"it is in use in this process for namespace "
                    f"{found._journal.identity.namespace!r}; use another file for "
                    f"{settings.namespace!r}",
                )
            found._users += 1
            return found

    def attach(self, store: Store) -> None:
        """Say which Redis it belongs to.

        Raises:
            StateFileError: another orchestrator of this process has it for another Redis.
        """
        self._scribe.attach(store)
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
        with self._scribe.following:
            if not self._begun:
                self.witness.compare()
                self._begun = True
                restore_callbacks(self._scribe, listener, adopter)

    def release(self) -> None:
        """Say that one user is done; the last one gives the file free."""
        with self._files_lock:
            self._users -= 1
            place = (os.getpid(), self._journal.path)
            if self._users > 0 or self._files.get(place) is not self:
                return
            del self._files[place]
        for acts in self._acts:
            acts.after = None
        self._journal.close()

    # --- the dispatcher tells (Recorder) --------------------------------------------------

    @contextmanager
    def expecting(self, tasks: Iterable[str], workflow: str = "") -> Iterator[None]:
        """Around the act that records: events may be here before its answer is.

        Raises:
            StateFileError: the file cannot be written now; nothing was sent.
        """
        if self._scribe.unsaved:
            try:
                self._scribe.save_unsaved()
            except StateFileError as error:
                raise StateFileError(error.path, f"{error.problem}. Nothing was sent") from error
        keys = {(TASK, task) for task in tasks}
        if workflow:
            keys.add((WORKFLOW, workflow))
        self._scribe.expected |= keys
        try:
            yield
        finally:
            self._scribe.expected -= keys

    def tasks(
        self,
        tasks: Sequence[NewTask],
        agents: Mapping[str, str],
        created: int,
        callbacks: Mapping[str, Callback],
    ) -> None:
        """Take tasks that have just been recorded; see `Recorder`.

        Raises:
            StateFileError: it cannot be written; the tasks run all the same.
        """
        entries = self._scribe.agents(agents, created)
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
        entries = self._scribe.agents(new.agents, created)
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
        new = [(TASK, task) for task in task_ids if not self._scribe.has((TASK, task))]
        if new:
            self._scribe.save(new)

    def _append_sent(self, entries: list[Entry], keys: list[Key]) -> None:
        try:
            self._scribe.append(entries)
        except StateFileError as error:
            self._scribe.unsaved.update(dict.fromkeys(keys))
            names = ", ".join(name for _, name in keys[:_SHOWN])
            names += " ..." if len(keys) > _SHOWN else ""
            raise StateFileError(
                error.path,
                f"{error.problem}. What was submitted ({names}) is recorded in Redis and runs; it "
                "comes into the file once that can be written again",
            ) from error

    def _callback(self, key: Key, callback: Callback) -> str:
        if callback is None:
            return ""
        name = name_of(callback)
        if name:
            self._scribe.waiting.add(key)
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
        texts = (
            agents.get(str(new.fields["agent"]), ""),
            new.fields.get("template"),
            new.fields.get("when"),
        )
        if any(mark in str(text) for text in texts for mark in _LOCAL):
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

    # --- calls that change what is recorded -------------------------------------------------

    def _after(self, act: str, subject: str) -> None:
        """Write what a call has changed, before it returns.

        Raises:
            StateFileError: the file cannot be written; the change is recorded in Redis.
        """
        noun = _CHANGES.get(act)
        key = (noun or "", subject)
        if noun is None or not (self._scribe.has(key) or act == "schedule_v1"):
            return
        keys = [key]
        if noun == WORKFLOW:
            members = self._scribe.store.workflows.task_ids(subject)
            keys = [*((TASK, name) for name in members), key]
        try:
            self._scribe.save(keys, moved=noun != JOB)
        except StateFileError as error:
            self._scribe.unsaved.update(dict.fromkeys(keys))
            raise StateFileError(
                error.path,
                f"{error.problem}. The change is recorded in Redis; it comes into the file once "
                "that can be written again",
            ) from error
