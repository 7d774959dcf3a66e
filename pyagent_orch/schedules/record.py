"""A scheduled job as Redis has it. Read only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.models.values import from_ms
from pyagent_orch.schedules.timing import Timing


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is recorded of a job. Times are aware and UTC."""

    id: str
    name: str
    timing: Timing
    work: str
    """What a run is made of, JSON; the engine's."""
    revision: int = 0
    """Grows with each change, so that nobody overwrites what he has not seen."""
    enabled: bool = True
    runs: int = 0
    """How often its schedule fired it."""
    next_ms: int | None = None
    last_ms: int | None = None
    """The due time of the last run."""
    last_id: str | None = None
    """The id of the task or workflow that was the last run."""
    problem: str = ""
    """Why it was paused, when that was not asked for."""
    ended_at: datetime | None = None
    """Since when it has no more runs."""
    created_at: datetime | None = None

    @classmethod
    def from_fields(cls, job_id: str, fields: Mapping[str, str], due: float | None) -> JobRecord:
        """Read a record from its hash and its score among the due jobs.

        Raises:
            ScheduleError: it cannot be read here; a newer version may have written it, or a
                machine that knows more time zones.
        """
        try:
            timing = Timing.model_validate_json(fields["timing"])
            ZoneInfo(timing.zone)
            return cls._of(job_id, fields, timing, due)
        except (ValueError, LookupError, OSError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ScheduleError(
                "id", f"job {job_id!r} cannot be read ({reason}); unschedule() removes it"
            ) from error

    @classmethod
    def _of(
        cls, job_id: str, fields: Mapping[str, str], timing: Timing, due: float | None
    ) -> JobRecord:
        return cls(
            id=job_id,
            name=fields.get("name", ""),
            timing=timing,
            work=fields.get("work", ""),
            revision=int(fields.get("rev", 0)),
            enabled=fields.get("enabled") == "1",
            runs=int(fields.get("runs", 0)),
            next_ms=None if due is None else int(due),
            last_ms=int(fields["last"]) if "last" in fields else None,
            last_id=fields.get("last_run"),
            problem=fields.get("problem", ""),
            ended_at=from_ms(fields.get("ended")),
            created_at=from_ms(fields.get("created")),
        )
