"""The table at the end of `make faults`: what was done, and what became of the tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from support.load import Account

COLUMNS = {
    "kind": "fault", "faults": "faults", "tasks": "tasks", "lost": "lost", "changed": "changed",
    "run_twice": "run twice", "told_twice": "callbacks twice",
    "longest_healing": "longest healing",
}  # fmt: skip


@dataclass
class Row:
    """One kind of fault."""

    kind: str
    faults: int
    tasks: int
    lost: int
    changed: int
    """Recorded outputs that changed."""
    run_twice: int
    """Tasks of which two runs came to an answer."""
    told_twice: int
    """Callbacks that one process called twice, and ends that the stream tells twice."""
    longest_healing: float | None
    """Seconds until what the fault had stopped went on; None where nothing had to heal."""

    def cells(self) -> list[str]:
        healing = "-" if self.longest_healing is None else f"{self.longest_healing:.1f} s"
        return [str(value) for value in list(asdict(self).values())[:-1]] + [healing]


class Report:
    """Rows of one test session."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(
        self, kind: str, faults: int, account: Account, healing: list[float] | None = None
    ) -> None:
        """Add what one test did; a kind that is there already is added up."""
        times = account.healing if healing is None else healing
        new = Row(
            kind, faults, account.tasks, len(account.lost),
            len(account.changed), len(account.ended_twice), len(account.told_twice),
            max(times, default=None),
        )  # fmt: skip
        old = next((row for row in self.rows if row.kind == kind), None)
        if old is None:
            self.rows.append(new)
            return
        for name in ("faults", "tasks", "lost", "changed", "run_twice", "told_twice"):
            setattr(old, name, getattr(old, name) + getattr(new, name))
        found = [t for t in (old.longest_healing, new.longest_healing) if t is not None]
        old.longest_healing = max(found, default=None)

    def table(self) -> str:
        lines = [list(COLUMNS.values()), *(row.cells() for row in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def write(self, directory: Path) -> None:
        """Keep the table. Rows of an earlier session stay, unless this one has their kind, too:
        so the suite may be run in parts.
        """
        directory.mkdir(exist_ok=True)
        kept = directory / "report.json"
        rows = {row["kind"]: row for row in json.loads(kept.read_text())} if kept.exists() else {}
        rows.update({row.kind: asdict(row) for row in self.rows})
        kept.write_text(json.dumps(list(rows.values()), indent=2) + "\n")
        whole = Report()
        whole.rows = [Row(**row) for row in rows.values()]
        (directory / "report.txt").write_text(whole.table() + "\n")
