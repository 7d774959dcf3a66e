"""The settings of an installation: `PYAGENT_ORCH_*`, read when asked, never at import.

One layer above the models. Knows no Redis and no Celery.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pyagent_orch.exceptions import ConfigurationError

ENV_PREFIX = "PYAGENT_ORCH_"


class Settings(BaseModel):
    """What an orchestrator, a worker and a beat agree on.

    Frozen; safe to share between threads and processes. Every field can be set
    by an environment variable: `redis_url` by `PYAGENT_ORCH_REDIS_URL`.
    """

    # No value in an error's text: it may be a URL with a password.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    redis_url: str | None = Field(default=None, repr=False)
    """`redis://`, `rediss://`, `redis+socket://` or `sentinel://`; None: the embedded server."""
    namespace: str = Field(default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Two namespaces on one Redis never see each other."""
    agents: tuple[str, ...] = ()
    """Modules that a worker imports at start, for the agents that they register."""
    model: str | None = None
    """The model of agents that name none, such as `openai:gpt-5`; None: the offline model."""
    queue: str = Field(default="agents", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """The queue of tasks that name none."""
    record_ttl_seconds: int = Field(default=7 * 86_400, ge=1)
    """How long finished records, outputs and Celery results stay; seconds."""
    events_max_length: int = Field(default=100_000, ge=1_000)
    """How many events the stream keeps, about."""
    text_max_bytes: int = Field(default=1_000_000, ge=0)
    """How much of the text that a running task writes is shown before it ends; bytes. 0: models
    are not asked for partial text, and none is shown."""
    lease_seconds: float = Field(default=10.0, ge=1.0)
    """A worker that has not renewed its lease for so long is lost; seconds."""
    heartbeat_seconds: float = Field(default=1.0, ge=0.1)
    """How often a worker renews its lease, looks for cancels and pushes what is due; seconds."""
    stop_timeout_seconds: float = Field(default=25.0, ge=0)
    """How long a worker that is asked to stop (SIGTERM) lets its agents go on; seconds. Then
    their tasks go back to the queues. Kubernetes kills after 30 s at its default."""
    max_worker_losses: int = Field(default=3, ge=1)
    """A task that so many workers died with is FAILED."""
    concurrency: int = Field(default=8, ge=1)
    """Threads of a worker: how many tasks it runs at once. Threads that wait cost next to nothing
    (docs/performance.md); they are started when they are needed."""
    connect_timeout_seconds: float = Field(default=2.0, gt=0)
    """How long to try to reach Redis; seconds."""
    socket_timeout_seconds: float = Field(default=4.0, gt=0)
    """How long to wait for an answer of Redis; seconds."""
    state_fsync: Literal["everysec", "always"] = "everysec"
    """How often a state file (and, embedded, the private server's data) reaches the disk: each
    second, or before a call returns. Matters for a power cut only."""
    log_format: Literal["text", "json"] = "text"
    """How workers and beat log: text, or a JSON object a line (extra `logs`)."""
    transport: Literal["pyagent", "kombu"] = "pyagent"
    """How workers take messages: many in one act that also claims them, or one by one as kombu's
    own Redis transport does."""
    traces: bool = False
    """Whether OpenTelemetry spans are made (extra `otel`); see docs/logs-and-traces.md."""
    signals: Literal["rare", "all", "none"] = "rare"
    """Which of Celery's signals become events: all, none, or those that are not sent per task."""

    task_events: bool = False
    """Whether workers send Celery's task events all the time, which costs two fifths of their
    throughput; otherwise while a Flower asks for them."""

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> Self:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            # Else one late heartbeat makes a living worker a lost one.
            raise ValueError(
                f"lease_seconds {self.lease_seconds} is less than two heartbeats of "
                f"{self.heartbeat_seconds} s"
            )
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, /, **overrides: object) -> Settings:
        """Read the settings from the environment.

        Args:
            environ: maps names to values; the process environment by default.
            overrides: fields that win over the environment; None counts as not given.

        Raises:
            ConfigurationError: a variable has a value that does not fit, or no such field exists.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for field in cls.model_fields:
            raw = environ.get(ENV_PREFIX + field.upper())
            if raw is not None and raw.strip():
                values[field] = _split(raw) if field == "agents" else raw
        values |= {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            # What is wrong between two fields has no place.
            field = str(first["loc"][0]) if first["loc"] else ""
            # The value itself is left out: it may be a URL with a password.
            raise ConfigurationError(
                f"{ENV_PREFIX}{field.upper()} ({field})" if field else "settings", first["msg"]
            ) from None


def _split(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def state_directory(state_file: str | Path) -> Path:
    """The directory of the private server that belongs to a state file."""
    path = Path(state_file).expanduser().resolve()
    return path.with_name(path.name + ".d")
