"""The one time that the store does not take from Redis."""

from datetime import UTC, datetime


def now_iso() -> str:
    """The time as Celery writes `date_done`; UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()
