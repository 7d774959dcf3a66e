"""A state file and a Redis, compared: each learns what only the other one has.

Part of the room of the state file. What Redis has is the truth, and the file takes
it. What Redis has lost (it is new and empty, or came back from an older snapshot)
it gets back: what had ended as it ended, the rest to be run. An output that the
file has is never asked for again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pyagent_orch.exceptions import AgentNotFoundError
from pyagent_orch.state.callbacks import NamedCallback
from pyagent_orch.state.entries import (
    failed,
    is_final,
    lost_job,
    lost_task,
    lost_workflow,
    state_of,
)
from pyagent_orch.state.index import AGENT, JOB, TASK, WORKFLOW, Index, Key, Known, Reading, Span
from pyagent_orch.state.lines import Entry
from pyagent_orch.state.scribe import Scribe
from pyagent_orch.store.runs import Claim
from pyagent_orch.store.snapshots import LostTask, Standing

if TYPE_CHECKING:
    from pyagent_orch.listener import Listener
    from pyagent_orch.listener.handlers import Adopter

logger = logging.getLogger(__name__)

BATCH, BATCH_BYTES = 200, 1 << 22
"""How many tasks one act records again, and about how much of them at the most."""


def restore(scribe: Scribe, *, first: bool) -> None:
    """Compare the file with its Redis, and mend both.

    Args:
        scribe: of the file.
        first: whether it is the first time since the file was opened.

    Raises:
        StateFileError: the file cannot be written.
        OrchestratorConnectionError: Redis is out of reach.
    """
    with scribe.journal.reading() as reading:
        index = reading.index()
        lives = index.live(scribe.journal.oldest_final)
        _Comparison(scribe, reading, index, lives, first=first).run()


class _Comparison:
    def __init__(
        self,
        scribe: Scribe,
        reading: Reading,
        index: Index,
        lives: Mapping[Key, Known],
        *,
        first: bool,
    ) -> None:
        self.scribe, self.reading, self.index, self.lives = scribe, reading, index, lives
        self.first = first
        self.snapshots = scribe.store.snapshots
        self.to_save: list[Key] = []
        self.counts = {"resumed": 0, "finished": 0, "gone": 0}

    def run(self) -> None:
        # A Redis that others use, too, and that has seen the file before.
        shared = not self.scribe.everything
        shared = self.snapshots.mark(self.scribe.journal.identity.id) and shared
        # What ended long ago while nobody looked has expired; it is not to be run again.
        old = self.index.newest < self.scribe.journal.oldest_final
        too_old = self.first and shared and old
        for noun in (TASK, WORKFLOW):
            names = [name for one, name in self.lives if one == noun]
            missing = [
                name
                for name, standing in zip(names, self.snapshots.standing(noun, names), strict=True)
                if self._is_missing((noun, name), standing)
            ]
            if noun == TASK:
                self._restore_tasks(missing, too_old=too_old)
            else:
                self._restore_workflows(missing, too_old=too_old)
        self._compare_jobs(removed=shared)
        if self.first:
            self._note_open()
            if self.scribe.everything:
                self._add_unknown()
        if self.to_save:
            self.scribe.save(list(dict.fromkeys(self.to_save)))
        if any(self.counts.values()):
            logger.info(
                "Restored from %s what Redis lacks: %d tasks go on, %d had ended; %d are too old.",
                self.scribe.journal.path,
                *self.counts.values(),
            )

    def _is_missing(self, key: Key, standing: Standing | None) -> bool:
        known = self.lives[key]
        if standing is None:
            return True
        ended = is_final(key[0], standing.status)
        if standing.created != known.created:
            # Another one of this id: the file begins anew with it.
            self.scribe.forget(key, known.created)
            self.to_save.append(key)
        elif known.final is not None and not ended and self._has_output(known):
            self._finish(key, known)
        elif (standing.finished if ended else None) != known.final:
            self.to_save.append(key)
        return False

    def _has_output(self, known: Known) -> bool:
        state = self._entry(known.later.get("state"))
        return state is not None and state.output is not None

    def _finish(self, key: Key, known: Known) -> None:
        """Give an output to a Redis that came back from before it was recorded."""
        state = self._entry(known.later.get("state"))
        if state is not None and state.output is not None:
            usage = str(state.record.get("usage", ""))
            # No run has this token: whoever runs it is told to stop.
            claim = Claim(key[1], "0", "", {})
            self.scribe.store.runs.finish(claim, "", state.output, usage)
            self.counts["finished"] += 1

    # --- what is lost ---------------------------------------------------------------------

    def _restore_tasks(self, names: Iterable[str], *, too_old: bool) -> None:
        batch: list[LostTask] = []
        agents: dict[str, str] = {}
        size = 0
        for name in names:
            known = self.lives[TASK, name]
            if known.workflow:
                # It comes with its workflow; a workflow that is there knows its tasks.
                continue
            if too_old and known.final is None:
                self._give_up((TASK, name), known)
                continue
            task = self._lost(name, known, agents)
            if task is not None:
                batch.append(task)
                size += len(task.result) + len(str(task.fields.get("input", "")))
            if len(batch) == BATCH or size > BATCH_BYTES:
                self.snapshots.restore(agents, batch)
                batch, agents, size = [], {}, 0
        if batch:
            self.snapshots.restore(agents, batch)

    def _restore_workflows(self, names: list[str], *, too_old: bool) -> None:
        members: dict[str, list[str]] = {name: [] for name in names}
        for (noun, name), known in self.lives.items():
            if noun == TASK and known.workflow in members:
                members[known.workflow].append(name)
        for name in names:
            known = self.lives[WORKFLOW, name]
            if too_old and known.final is None:
                self._give_up((WORKFLOW, name), known)
                continue
            agents: dict[str, str] = {}
            found = (self._lost(one, self.lives[TASK, one], agents) for one in members[name])
            tasks = [task for task in found if task is not None]
            base = self._entry(known.base)
            if base is None:
                continue
            state = self._entry(known.later.get("state"))
            self.snapshots.restore(agents, (), lost_workflow(base, state, tasks))

    def _lost(self, name: str, known: Known, agents: dict[str, str]) -> LostTask | None:
        base = self._entry(known.base)
        if base is None:
            return None
        task = lost_task(base, self._entry(known.later.get("state")))
        ended = is_final(TASK, task.fields["status"])
        for one in known.agents:
            found = self.index.known.get((AGENT, one))
            agent = self._entry(found.base) if found is not None else None
            if agent is not None:
                agents[one] = str(agent.record.get("json", ""))
            elif not ended:
                now = time.time_ns() // 1_000_000
                reason = f"{AgentNotFoundError(one)} Its specification is not in the state file."
                task, ended = failed(task, AgentNotFoundError.__name__, reason, now), True
                self.to_save.append((TASK, name))
        self.counts["finished" if ended else "resumed"] += 1
        return task

    def _give_up(self, key: Key, known: Known) -> None:
        self.counts["gone"] += 1
        self.scribe.forget(key, known.created)

    def _compare_jobs(self, *, removed: bool) -> None:
        """As tasks, but for one that is missing where others remove jobs, too."""
        names = [name for noun, name in self.lives if noun == JOB]
        for name, raw in zip(names, self.snapshots.jobs(names), strict=True):
            known = self.lives[JOB, name]
            base, state = self._entry(known.base), self._entry(known.later.get("state"))
            if raw is not None:
                if state is None or state_of(JOB, raw).record != state.record:
                    self.to_save.append((JOB, name))
            elif removed or base is None:
                self.scribe.forget((JOB, name), known.created)
            else:
                self.snapshots.restore_job(lost_job(base, state))

    def _entry(self, span: Span | None) -> Entry | None:
        try:
            return self.reading.entry(span)
        except ValueError as error:
            logger.error("The state file has an entry that cannot be read: %s", error)  # noqa: TRY400 - of a hand
            return None

    # --- what the state file knows from now on ------------------------------------------------

    def _note_open(self) -> None:
        for key, known in self.lives.items():
            if key[0] in (TASK, WORKFLOW) and self.scribe.has(key):
                if known.final is None:
                    self.scribe.open.add(key)
                if known.has_callback and not known.called:
                    self.scribe.waiting.add(key)

    def _add_unknown(self) -> None:
        """Of a private Redis everything is the file's own, also what a killed process sent."""
        found = zip((TASK, WORKFLOW, JOB), self.snapshots.everything(), strict=True)
        keys = ((noun, name) for noun, names in found for name in names)
        self.to_save += [key for key in keys if not self.scribe.has(key)]


def restore_callbacks(scribe: Scribe, listener: Listener, adopter: Adopter) -> None:
    """Have the callbacks called that an earlier process promised.

    Each once: when what it waits for is final, or in a thread of its own now if it is.
    """
    wanted = sorted(scribe.waiting)
    if not wanted:
        return
    with scribe.journal.reading() as reading:
        index = reading.index()
        paths = {
            key: entry.callback
            for key in wanted
            if (known := index.known.get(key)) is not None
            and (entry := reading.entry(known.base)) is not None
        }
    due: list[Callable[[], None]] = []
    tasks = [name for noun, name in paths if noun == TASK]
    for task in filter(None, scribe.store.records.get_many(tasks)):
        live = adopter.task(task)
        live.callback = _named(scribe, (TASK, task.id), paths)
        listener.track(live)
        due.append(lambda record=task: listener.settle(TASK, record))  # type: ignore[misc]
    flows = [name for noun, name in paths if noun == WORKFLOW]
    for workflow in filter(None, scribe.store.workflows.get_many(flows)):
        whole = adopter.workflow(workflow)
        whole.callback = _named(scribe, (WORKFLOW, workflow.id), paths)
        listener.track(whole)
        due.append(lambda record=workflow: listener.settle(WORKFLOW, record))  # type: ignore[misc]
    if due:
        # The script that is being run may define the functions further down.
        threading.Thread(
            target=lambda: [settle() for settle in due],
            name="pyagent-state-callbacks",
            daemon=True,
        ).start()


def _named(scribe: Scribe, key: Key, paths: Mapping[Key, str]) -> NamedCallback:
    # What is not called is not noted as called.
    return NamedCallback(paths[key], lambda: scribe.waiting.discard(key))
