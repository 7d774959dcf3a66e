"""The counters that the acts keep (see scripts/counts.lua), as plain values.

Store layer, pure: knows how a field of the hash reads, and nothing of metrics' formats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

BUCKETS_MS = (
    *(10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000),
)
"""Upper bounds of the histograms' buckets; what is above the last one is in `inf`."""
NEVER_RAN = ""
"""In place of a bucket: a task that became final before any worker had it."""
NANO = 1e-9


@dataclass(slots=True)
class Histogram:
    """How many times there were in each bucket (not cumulative), and their sum."""

    buckets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Maps a bucket's upper bound in ms, or `inf`, to a count."""
    sum_seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many times there were in all."""
        return sum(self.buckets.values())


@dataclass(frozen=True, slots=True)
class Spent:
    """What an agent and a model used up."""

    requests: int = 0
    unpriced_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Counters:
    """All that was counted in a namespace, since it began."""

    submitted: Mapping[str, int] = field(default_factory=dict)
    """By queue."""
    finished: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Tasks that became final, by name and state."""
    attempts: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    """How long attempts took, by name and how they ended."""
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By kind of error and what followed."""
    spent: Mapping[tuple[str, str], Spent] = field(default_factory=dict)
    """By agent and model."""
    workflows: Mapping[str, int] = field(default_factory=dict)
    """Workflows that became final, by state."""
    recovered: Mapping[str, int] = field(default_factory=dict)
    """Tasks that were queued again, by reason."""
    released: int = 0
    workers_lost: int = 0
    fired: Mapping[str, int] = field(default_factory=dict)
    """Runs of scheduled jobs, by how they came about."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Due times of jobs without a run, by reason."""
    lateness: Histogram = field(default_factory=Histogram)

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Counters:
        """Read the hash as Redis returns it; fields of a newer version are passed over."""
        groups: dict[str, list[_Field]] = defaultdict(list)
        for name, text in fields.items():
            what, a, b, label = name.split("|", 3)
            groups[what].append(_Field(a, b, label, int(text)))
        finished: dict[tuple[str, str], int] = defaultdict(int)
        for one in groups["attempt"]:
            if one.a in _FINAL:
                finished[one.label, one.a] += one.value
        attempts = _histograms(groups["attempt"], groups["attempt_ms"])
        spent: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for one in groups["usage"]:
            model, _, agent = one.label.partition("|")
            spent[agent or model, model][one.a] = one.value
        lateness = _histograms(groups["late"], groups["late_ms"])
        return cls(
            submitted={one.label: one.value for one in groups["submitted"]},
            finished=finished,
            attempts=attempts,
            failures={(one.label, one.a): one.value for one in groups["failure"]},
            spent={pair: _spent(parts) for pair, parts in spent.items()},
            workflows=_by_a(groups["workflow"]),
            recovered=_by_a(groups["recovered"]),
            released=_by_a(groups["released"]).get("", 0),
            workers_lost=_by_a(groups["worker_lost"]).get("", 0),
            fired=_by_a(groups["fired"]),
            left_out=_by_a(groups["left_out"]),
            lateness=lateness.get(("", ""), Histogram()),
        )


_FINAL = {"completed", "failed", "cancelled", "skipped"}


class _Field(NamedTuple):
    """A field `what|a|b|label`, under its `what`."""

    a: str
    b: str
    label: str
    value: int


def _by_a(fields: Iterable[_Field]) -> dict[str, int]:
    return {one.a: one.value for one in fields}


def _histograms(
    counts: Iterable[_Field], sums: Iterable[_Field]
) -> dict[tuple[str, str], Histogram]:
    """By label and `a`; `b` is the bucket."""
    found: dict[tuple[str, str], Histogram] = defaultdict(Histogram)
    for one in counts:
        if one.b != NEVER_RAN:
            found[one.label, one.a].buckets[one.b] += one.value
    for one in sums:
        found[one.label, one.a].sum_seconds = one.value / 1000
    return found


def _spent(parts: Mapping[str, int]) -> Spent:
    return Spent(
        parts.get("requests", 0),
        parts.get("unpriced", 0),
        parts.get("input", 0),
        parts.get("output", 0),
        parts.get("cost", 0) * NANO,
    )
