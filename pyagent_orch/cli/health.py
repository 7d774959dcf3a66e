"""Health checks of one process, for containers and supervisors: cheap, and by exit code.

Command line. Asks what the process itself records in Redis, or what it serves, and never
Celery: a check is a process that starts every few seconds. `doctor` examines the whole.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import Command, Group, Installation, pass_installation
from pyagent_orch.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyagent_orch.store.vitals import Sign, Vitals

SECTION = "Fleet"
_TIMEOUT_SECONDS = 5.0

health = Group(
    "health",
    section=SECTION,
    help="Tell whether one process is well: exit code 0, or 1 with the reason.\n\n"
    "For the health checks of containers and supervisors. Takes a fraction of a second and "
    "one or two round trips to Redis.",
)


@health.command("worker", cls=Command, section=SECTION)
@click.option(
    "-n", "--name", metavar="NAME", help="One of several on this host; otherwise all of them."
)
@click.option(
    "--liveness",
    is_flag=True,
    help="For a check that restarts what fails: well while Redis is out of reach, which a "
    "restart would not mend, and which workers wait for with their answers.",
)
@pass_installation
def worker(installation: Installation, *, name: str | None, liveness: bool) -> Exit:
    """Whether the worker of this host (or container) renews its lease in Redis."""
    return _check(
        installation, lambda vitals: _judge("worker", vitals.workers(), name), liveness=liveness
    )


@health.command("beat", cls=Command, section=SECTION)
@click.option(
    "-n", "--name", metavar="NAME", help="One of several on this host; otherwise all of them."
)
@click.option(
    "--liveness",
    is_flag=True,
    help="For a check that restarts what fails: well while Redis is out of reach.",
)
@pass_installation
def beat(installation: Installation, *, name: str | None, liveness: bool) -> Exit:
    """Whether the beat of this host (or container) looks for due jobs."""
    return _check(
        installation, lambda vitals: _judge("beat", vitals.beats(), name), liveness=liveness
    )


@health.command("redis", cls=Command, section=SECTION)
@pass_installation
def redis(installation: Installation) -> Exit:
    """Whether Redis answers, knows the login and takes writes."""

    def look(vitals: Vitals) -> tuple[bool, str]:
        vitals.write()
        return True, f"Redis at {vitals.label} answers and takes writes"

    return _check(installation, look, liveness=False)


@health.command("url", cls=Command, section=SECTION)
@click.argument("url")
def url(*, url: str) -> Exit:
    """Whether URL answers with success within 5 s, such as Flower's /healthcheck."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("it begins neither with http:// nor with https://")
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
            return _say(well=True, text=f"{url} answers {answer.status}")
    except HTTPError as error:
        return _say(well=False, text=f"{url} answers {error.code}")
    except OSError as error:
        return _say(well=False, text=f"{url} does not answer: {getattr(error, 'reason', error)}")


def _check(
    installation: Installation, look: Callable[[Vitals], tuple[bool, str]], *, liveness: bool
) -> Exit:
    from pyagent_orch.exceptions import OrchestratorConnectionError

    settings = installation.fleet_settings()
    from pyagent_orch.store.vitals import Vitals

    vitals = Vitals(settings)
    try:
        well, text = look(vitals)
    except OrchestratorConnectionError as error:
        return _say(well=liveness, text=str(error))
    return _say(well=well, text=text)


def _say(*, well: bool, text: str) -> Exit:
    from pyagent_orch.cli.show import print_text

    print_text(text, err=not well)
    return Exit.OK if well else Exit.FAILED


def _judge(what: str, signs: list[Sign], name: str | None) -> tuple[bool, str]:
    """Whether all that should live here do.

    Args:
        what: the kind of process, for the text.
        signs: of the whole fleet.
        name: whom to look at; None: whoever has its process here.
    """
    host = socket.gethostname()
    if name is not None and "@" not in name:
        name = f"{name}@{host}"
    mine = [
        sign
        for sign in signs
        if (sign.name == name if name is not None else sign.name.endswith(f"@{host}"))
        # What was killed has its lease for some seconds more.
        and (_runs(sign.pid) or not sign.name.endswith(f"@{host}"))
    ]
    if not mine:
        wanted = name or f"on host {host}"
        known = ", ".join(sorted(sign.name for sign in signs)[:5]) or "none"
        return False, f"no living {what} {wanted}; {what}s with a lease: {known}"
    late = [sign for sign in mine if not sign.is_alive]
    if late:
        told = ", ".join(f"{sign.name} by {-sign.left_seconds:.1f} s" for sign in late)
        return False, f"overdue: {told}"
    stuck = [sign for sign in mine if sign.stalled_seconds]
    if stuck:
        told = ", ".join(f"{sign.name} for {sign.stalled_seconds} s" for sign in stuck)
        return False, f"alive, but takes no messages: {told}"
    return True, ", ".join(f"{sign.name} is alive" for sign in mine)


def _runs(pid: int | None) -> bool:
    """Whether a process runs here; one that cannot be known is taken to."""
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to somebody else.
        return True
    return True
