"""Becoming one of Celery's programs: worker, beat, Flower.

Command line. The process is replaced, so that signals of a terminal or a supervisor reach
the program itself. What may hold a password goes by the environment, never by arguments.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from pyagent_orch.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pyagent_orch.config import Settings

APP = "workers.celery_app"


F = TypeVar("F", bound=Callable[..., object])


def quiet_option(function: F) -> F:
    """Add `--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="No banner at the start.")(function)


def log_format_option(function: F) -> F:
    """Add `--log-format`."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="Text, or a JSON object a line; PYAGENT_ORCH_LOG_FORMAT otherwise.",
    )(function)


def become(
    settings: Settings,
    program: str,
    options: Sequence[str],
    extra: Mapping[str, str] | None = None,
    *,
    quiet: bool = False,
) -> NoReturn:
    """Go on as `celery -A workers.celery_app PROGRAM OPTIONS`.

    Args:
        settings: the installation, and the modules of agents that the program imports.
        program: `worker`, `beat` or `flower`.
        options: its arguments; nothing secret.
        extra: variables of its environment beside those of the settings.
        quiet: without Celery's banner.

    Raises:
        ConfigurationError: its URL is none, a module is not there, or a folder hides one.
    """
    _check_url(settings)
    check_modules(settings.agents)
    os.environ |= {**celery_environment(settings), **(extra or {})}
    sys.stdout.flush()
    sys.stderr.flush()
    command = celery_command(program, options, quiet=quiet)
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted, and none is there


def celery_command(program: str, options: Sequence[str], *, quiet: bool = False) -> list[str]:
    """The command line of one of Celery's programs; see `become`."""
    silent = ["--quiet"] if quiet else []
    return [sys.executable, "-m", "celery", *silent, "-A", APP, program, *options]


def celery_environment(settings: Settings) -> dict[str, str]:
    """The variables by which one of Celery's programs gets to know its installation."""
    return {
        "PYAGENT_ORCH_REDIS_URL": settings.redis_url or "",
        "PYAGENT_ORCH_NAMESPACE": settings.namespace,
        "PYAGENT_ORCH_AGENTS": ",".join(settings.agents),
        "PYAGENT_ORCH_LOG_FORMAT": settings.log_format,
    }


# --- what would otherwise end in a traceback of the program ---------------------------------


def _check_url(settings: Settings) -> None:
    from pyagent_orch.orchestrator import Orchestrator

    # Opens nothing; refuses a URL that is none.
    Orchestrator(settings=settings).close()


def check_modules(agents: Sequence[str]) -> None:
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
