"""A scheduled job as the command line shows it: the same document in every command.

Command line. Knows no facade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyagent_orch.cli.show import print_json, print_text

if TYPE_CHECKING:
    from pyagent_orch.schedules.jobs import ScheduledJob


def as_job_document(job: ScheduledJob) -> dict[str, Any]:
    """What `--json` prints of a job."""
    record = job.record
    assert record is not None
    next_run, last_run = job.next_run, job.last_run
    return {
        "id": job.id,
        "name": job.name,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "state": "ended" if record.ended_at else "enabled" if record.enabled else "paused",
        "next_run": next_run.isoformat() if next_run else None,
        "last_run": last_run.isoformat() if last_run else None,
        "runs": record.runs,
        "missed": job.missed,
        "overlap": job.overlap,
        "max_runs": job.max_runs,
        "end_at": job.end_at.astimezone(job.zone).isoformat() if job.end_at else None,
        "jitter": job.jitter,
        "problem": record.problem or None,
    }


def print_job(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a job's document, or a line about it."""
    if as_json:
        print_json(found)
    else:
        state = f"next run {found['next_run']}" if found["next_run"] else found["state"]
        print_text(f"{found['id']}  {found['name']}  {found['schedule']}  {state}")
