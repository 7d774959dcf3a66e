"""The commands about a fleet: start a worker, list the workers.

Command line, over the facade. `worker` does not come back: the process becomes
Celery's worker, so that signals from a terminal or a supervisor reach it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NoReturn

import click

from pyagent_orch.cli.arguments import Installation, command, json_option, modules
from pyagent_orch.cli.show import Column, print_json, print_table
from pyagent_orch.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pyagent_orch.config import Settings
    from pyagent_orch.models.values import JSONValue

SECTION = "Fleet"
APP = "workers.celery_app"
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
    celery_options: tuple[str, ...],
) -> NoReturn:
    """Start a worker; Ctrl-C ends it.

    The same as `celery -A workers.celery_app worker` with settings that suit agents. What
    stands after `--` goes to Celery as it is.
    """
    settings = installation.fleet_settings(agents=modules(agents))
    _check_url(settings)
    _check_modules(settings.agents)
    if concurrency is None and pool == "threads":
        concurrency = settings.concurrency
    name = name or own_name()
    options = ["--pool", pool, "--loglevel", log_level.upper()]
    options += ["--hostname", name if "@" in name else f"{name}@%h"]
    options += ["--concurrency", str(concurrency)] if concurrency else []
    options += ["--queues", queues] if queues else []
    # By the environment, not by arguments: a URL may hold a password.
    os.environ |= {
        "PYAGENT_ORCH_REDIS_URL": settings.redis_url or "",
        "PYAGENT_ORCH_NAMESPACE": settings.namespace,
        "PYAGENT_ORCH_AGENTS": ",".join(settings.agents),
    }
    program = [sys.executable, "-m", "celery", "-A", APP, "worker", *options, *celery_options]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, program)  # noqa: S606 - no shell is wanted, and none is there


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


# --- what would otherwise end in a traceback of the worker ----------------------------------


def _check_url(settings: Settings) -> None:
    from pyagent_orch.orchestrator import Orchestrator

    # Opens nothing; refuses a URL that is none.
    Orchestrator(settings=settings).close()


def _check_modules(agents: Sequence[str]) -> None:
    """Refuse modules that are not there, and folders that hide what the worker is made of.

    Nothing is imported. As in the worker, the current folder comes first.
    """
    path = ["", *sys.path]
    for module in agents:
        if not _exists(module, path):
            raise ConfigurationError(
                "PYAGENT_ORCH_AGENTS",
                f"there is no module {module!r} here; start the worker in the folder that has it, "
                "or put that folder on PYTHONPATH",
            )
    ours = {
        "workers": Path(__file__).parents[2] / "workers" / "__init__.py",
        "celery": Path(getattr(importlib.util.find_spec("celery"), "origin", "")),
    }
    for module, origin in ours.items():
        spec = PathFinder.find_spec(module, path)
        found = Path(spec.origin) if spec is not None and spec.origin else None
        if found is not None and not (origin.exists() and found.samefile(origin)):
            raise ConfigurationError(
                module,
                f"{found} would be imported in place of the worker's own module of this name; "
                "rename it, or start the worker where it is neither in the current folder nor on "
                "PYTHONPATH",
            )


def _exists(module: str, path: Sequence[str] | None) -> bool:
    """Whether a dotted name can be found; packages above it are not imported, as they would be."""
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
        if path is None:
            path = []
    return True
