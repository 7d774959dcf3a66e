"""What a live task and a live workflow have in common: the record that they follow.

Pure, like both of them: how a record is brought up to date is theirs to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Generic, Protocol, TypeVar


class HasTimes(Protocol):
    """The times in a record; UTC."""

    @property
    def created_at(self) -> datetime | None:
        """When it was written."""

    @property
    def started_at(self) -> datetime | None:
        """When work began."""

    @property
    def completed_at(self) -> datetime | None:
        """When it became final."""


R = TypeVar("R", bound=HasTimes)


class Live(ABC, Generic[R]):
    """Plain until it is submitted; from then on it follows its record."""

    _record: R | None = None

    @abstractmethod
    def _fresh(self) -> R | None:
        """The record, brought up to date if it can still change."""

    @property
    def record(self) -> R | None:
        """The record as last seen, without a look at Redis; None before the submit."""
        return self._record

    @property
    def is_live(self) -> bool:
        """Whether it has been submitted."""
        return self._record is not None

    @property
    def created_at(self) -> datetime | None:
        """When it was recorded; UTC."""
        return self._record.created_at if self._record else None

    @property
    def started_at(self) -> datetime | None:
        """When it was first started, a workflow with its first task; UTC."""
        record = self._fresh()
        return record.started_at if record else None

    @property
    def completed_at(self) -> datetime | None:
        """When it became final, in whichever state; UTC."""
        record = self._fresh()
        return record.completed_at if record else None
