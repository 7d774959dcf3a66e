"""Who wants to know what is sent, such as a state file; the dispatcher tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.workflows import NewWorkflow

Callback = Callable[..., object] | None


class Recorder(Protocol):
    """Is told before a submit returns, and may make it fail. Safe to share between threads."""

    def expecting(self, tasks: Iterable[str], workflow: str = "") -> AbstractContextManager[None]:
        """Around the act that records these ids; its first events may come before its answer."""

    def tasks(
        self,
        tasks: Sequence[NewTask],
        agents: Mapping[str, str],
        created: int,
        callbacks: Mapping[str, Callback],
    ) -> None:
        """These tasks are recorded.

        Args:
            tasks: as they were sent.
            agents: maps the content hashes of their agents to their JSON.
            created: when they were recorded, ms.
            callbacks: maps task ids to what the sender wants to be called.
        """

    def workflow(
        self, new: NewWorkflow, created: int, callbacks: Mapping[str, Callback], whole: Callback
    ) -> None:
        """This workflow is recorded, with its tasks; `whole` is its own callback."""

    def adopt(self, task_ids: Sequence[str]) -> None:
        """These were there already when they were submitted."""
