"""The commands about a fleet: start a worker, list the workers.

Command line, over the facade. `worker` does not come back: the process becomes
Celery's worker, so that signals from a terminal or a supervisor reach it.
"""

from __future__ import annotations

import os
from secrets import token_hex
from typing import TYPE_CHECKING, NoReturn

import click

from pyagent_orch.cli.arguments import Installation, command, json_option, modules
from pyagent_orch.cli.celery_program import become, log_format_option, quiet_option
from pyagent_orch.cli.show import Column, print_json, print_table

if TYPE_CHECKING:
    from pyagent_orch.config import Settings
    from pyagent_orch.models.values import JSONValue

SECTION = "Fleet"
_COLUMNS = (
    Column("WORKER", flexible=True),
    Column("POOL"),
    Column("SIZE", right=True),
    Column("PID", right=True),
    Column("QUEUES", flexible=True),
    Column("AGENTS", flexible=True),
)


@command("worker", SECTION)
@click.option(
    "-P",
    "--pool",
    type=click.Choice(["threads", "prefork", "solo"]),
    default="threads",
    show_default=True,
    help="threads suit model calls, prefork heavy computing.",
)
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tasks at once: 8 for threads, one a core for prefork, if not given.",
)
@click.option(
    "-Q", "--queues", metavar="A,B", help="Which queues to serve; otherwise the installation's."
)
@click.option(
    "-n", "--name", metavar="NAME", help="NAME@%h, unique in the fleet; otherwise worker-PID@%h."
)
@click.option(
    "-A",
    "--agents",
    multiple=True,
    metavar="MODULE",
    help="Where its agents are; may be repeated. PYAGENT_ORCH_AGENTS otherwise.",
)
@click.option(
    "-l",
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="What it logs.",
)
@log_format_option
@quiet_option
@click.argument("celery_options", metavar="[-- CELERY OPTIONS]", nargs=-1, type=click.UNPROCESSED)
def worker(
    installation: Installation,
    *,
    pool: str,
    concurrency: int | None,
    queues: str | None,
    name: str | None,
    agents: tuple[str, ...],
    log_level: str,
    log_format: str | None,
    quiet: bool,
    celery_options: tuple[str, ...],
) -> NoReturn:
    """Start a worker; Ctrl-C ends it.

    The same as `celery -A workers.celery_app worker` with settings that suit agents. What
    stands after `--` goes to Celery as it is.
    """
    settings = installation.fleet_settings(agents=modules(agents), log_format=log_format)
    name = name or own_name()
    options = worker_options(
        settings, name, pool=pool, concurrency=concurrency, queues=queues, log_level=log_level
    )
    become(settings, "worker", [*options, *celery_options], quiet=quiet)


def worker_options(
    settings: Settings,
    name: str,
    *,
    pool: str,
    concurrency: int | None,
    queues: str | None,
    log_level: str = "info",
) -> list[str]:
    """What Celery's worker is told on its command line; None: what the installation says."""
    if concurrency is None and pool == "threads":
        concurrency = settings.concurrency
    options = ["--pool", pool, "--loglevel", log_level.upper()]
    options += ["--hostname", name if "@" in name else f"{name}@%h"]
    options += ["--concurrency", str(concurrency)] if concurrency else []
    options += ["--queues", queues] if queues else []
    return options


def own_name() -> str:
    """A name that no other worker of the fleet has, also where all containers share a host name
    (and are process 1, each of its own).
    """
    pid = os.getpid()
    return f"worker-{token_hex(4) if pid == 1 else pid}"


@command("workers", SECTION)
@json_option
def workers(installation: Installation, *, as_json: bool) -> None:
    """List the living workers and their agents."""
    with installation.fleet() as orchestrator:
        found = orchestrator.workers()
        namespace = orchestrator.settings.namespace
    if as_json:
        print_json([{"name": name, **info} for name, info in sorted(found.items())])
        return
    rows = [_row(name, info) for name, info in sorted(found.items())]
    print_table(_COLUMNS, rows, f"No worker serves namespace {namespace}: pyagent-orch worker")


def _row(name: str, info: dict[str, JSONValue]) -> list[str]:
    fields = ("pool", "concurrency", "pid", "queues", "agents")
    return [name, *(_cell(info.get(field)) for field in fields)]


def _cell(value: JSONValue) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
