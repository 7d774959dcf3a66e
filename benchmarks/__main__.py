"""`python -m benchmarks`: measure, print a table; the command line of the benchmark."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Size
from benchmarks.cases import CASES
from benchmarks.contenders import chosen_contenders
from benchmarks.report import as_json, describe_machine, holds, table
from benchmarks.rounds import Line, run_case
from benchmarks.saved import read
from benchmarks.server import Server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(case.name for case in CASES))
        return 0
    if options.saved:
        lines, names, machines = read(options.saved)
    else:
        cases = _chosen(options.cases)
        if not cases:
            print(f"No case fits {' '.join(options.cases)}; --list shows them.", file=sys.stderr)
            return 2
        lines, names, machines = _measure(cases, options)
    if options.json:
        print(json.dumps(as_json(lines, names, machines[0]), indent=2))
    else:
        for machine in machines:
            print(", ".join(f"{name} {value}" for name, value in machine.items()))
        rounds = max(len(figures) for line in lines for figures in line.figures.values())
        print(f"{rounds} interleaved rounds; medians, and the median of the rounds' ratios")
        print()
        print(table(lines, names))
    if options.plot:
        from benchmarks.plot import draw

        draw(lines, names, options.plot)
    missed = [line for line in lines if not holds(line, names[-1], names[0])]
    return 1 if options.check and missed else 0


def _measure(
    cases: Sequence[type[Case]], options: argparse.Namespace
) -> tuple[list[Line], list[str], list[dict[str, Any]]]:
    lines: list[Line] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyagent-bench-")))
        server = stack.enter_context(Server())
        machine = describe_machine(server.describe())
        kinds = chosen_contenders(peers=options.peers, floor=options.floor)
        contenders = [kind(server, directory) for kind in kinds]
        for case in cases:
            size = Size.scaled(options.scale)
            lines += run_case(case(size), contenders, options.rounds, server, _tell)
    _tell("")
    return lines, [kind.name for kind in kinds], [machine]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="pyagent_orch beside plain Celery, on one server."
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names or patterns; default: all")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--rounds", type=_positive, default=5, help="default: 5")
    parser.add_argument("--scale", type=float, default=1.0, help="size of a round; default: 1")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="other task queues, too; pip installs each into .venv-peers",
    )
    parser.add_argument(
        "--floor",
        action="store_true",
        help="the same acts in a bare loop without Celery, too, and how near to it we come",
    )
    parser.add_argument("--json", action="store_true", help="every figure of every round")
    parser.add_argument(
        "--saved",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing; show what --json wrote into these",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios, .svg or .png")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _chosen(patterns: Sequence[str]) -> list[type[Case]]:
    return [
        case
        for case in CASES
        if not patterns or any(fnmatchcase(case.name, f"{pattern}*") for pattern in patterns)
    ]


def _tell(text: str) -> None:
    """A line of progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Workers are in groups of their own: a stop has to come by here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
