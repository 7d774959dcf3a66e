"""The command that runs a whole stack on this machine, for development and for small hosts.

Command line, over `stack/` and the table in `services`. Every program is one of our own
commands in a process of its own.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import URL_VARIABLE, Installation, command, modules
from pyagent_orch.cli.exits import Exit
from pyagent_orch.cli.services import SERVICES, Service
from pyagent_orch.exceptions import ConfigurationError, OrchestratorConnectionError

if TYPE_CHECKING:
    from pyagent_orch.config import Settings
    from pyagent_orch.stack.unit import Unit

STOP_TIMEOUT = 6.0
"""Seconds that agents have after Ctrl-C; then their tasks go back to the queues."""
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green")


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    known = [one.name for one in SERVICES if one.port]
    if name not in known or not number.isdigit() or not int(number) < 65536:  # noqa: PLR2004
        raise click.BadParameter(f"{text!r} is not SERVICE=PORT; services: {', '.join(known)}")
    return name, int(number)


@command("up", "Fleet")
@click.option(
    "-w", "--workers", type=click.IntRange(min=0), default=1, show_default=True, metavar="N",
    help="How many workers.",
)  # fmt: skip
@click.option(
    "-P", "--pool", type=click.Choice(["threads", "prefork", "solo"]), default="threads",
    show_default=True, help="Their pool.",
)  # fmt: skip
@click.option(
    "-c", "--concurrency", type=click.IntRange(min=1), metavar="N",
    help="How many tasks each runs at once.",
)  # fmt: skip
@click.option("-Q", "--queues", metavar="A,B", help="Which queues they serve.")
@click.option(
    "-A", "--agents", multiple=True, metavar="MODULE",
    help="Where their agents are; may be repeated. PYAGENT_ORCH_AGENTS otherwise.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Keeps what the private server has; otherwise all is gone at the end.",
)  # fmt: skip
@click.option(
    "--without", multiple=True, type=click.Choice([one.name for one in SERVICES]),
    help="Leave a service out; may be repeated.",
)  # fmt: skip
@click.option(
    "--port", "ports", multiple=True, type=_port, metavar="SERVICE=PORT",
    help="Where a service listens; 0 for any free port. May be repeated.",
)  # fmt: skip
def up(
    installation: Installation,
    *,
    workers: int,
    pool: str,
    concurrency: int | None,
    queues: str | None,
    agents: tuple[str, ...],
    data: Path | None,
    without: tuple[str, ...],
    ports: tuple[tuple[str, int], ...],
) -> Exit:
    """Run a whole stack on this machine: Redis, workers, beat, Flower.

    Redis is the one of PYAGENT_ORCH_REDIS_URL, or else a private server that ends with the
    rest. What dies is started again. Ctrl-C ends all; a second one kills.
    """
    from pyagent_orch.cli.celery_program import check_modules
    from pyagent_orch.stack.stack import Stack

    settings = installation.settings(agents=modules(agents))
    if data is not None and settings.redis_url is not None:
        raise click.UsageError("--data goes with the private server, not with a given Redis")
    check_modules(settings.agents)
    screen = Screen()
    with _redis(settings, data, screen) as reached:
        units = [
            unit
            for service in SERVICES
            if service.name not in without and service.is_here
            for unit in (
                _workers(reached, workers, pool, concurrency, queues)
                if service.name == "worker"
                else [_unit(service, reached, dict(ports))]
            )
        ]
        screen.names([unit.name for unit in units])
        return Exit.OK if Stack(units, screen).run() else Exit.FAILED


class Screen:
    """Shows the lines of all programs, each behind the name of its own."""

    def __init__(self) -> None:
        from pyagent_orch.cli.show import is_terminal

        self._colour = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
        self._colours: dict[str, str] = {}
        self._width = max(len(one.name) for one in SERVICES)

    def names(self, names: list[str]) -> None:
        """The programs that there are."""
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
        self._width = max(self._width, *map(len, names))

    def line(self, unit: str, text: str) -> None:
        """A program printed a line."""
        self._print(unit, text, self._colours[unit])

    def note(self, text: str) -> None:
        """The stack itself has something to say."""
        self._print("up", text, "bright_white")

    def _print(self, name: str, text: str, colour: str) -> None:
        from pyagent_orch.escape import escape

        label = f"{name:<{self._width}} |"
        if self._colour:
            label = click.style(label, fg=colour, bold=name == "up")
        sys.stdout.write(f"{label} {escape(text)}\n")
        sys.stdout.flush()


@contextmanager
def _redis(settings: Settings, data: Path | None, screen: Screen) -> Iterator[Settings]:
    """The settings with the Redis that is given, or with a private server of its own.

    Raises:
        OrchestratorConnectionError: the given one is out of reach, or refuses.
        EmbeddedServerError: there is no server to start.
    """
    from pyagent_orch.store.vitals import Vitals

    if settings.redis_url is not None:
        vitals = Vitals(settings)
        vitals.write()
        screen.note(f"Redis at {vitals.label}, namespace {settings.namespace}.")
        yield settings
        return
    from pyagent_orch.embedded.server import PrivateServer

    with PrivateServer(
        data, persistent=data is not None, exclusive=data is not None, fsync=settings.state_fsync
    ) as server:
        screen.note("A private Redis. For other terminals:")
        screen.note(f"export {URL_VARIABLE}={server.broker_url}")
        yield settings.model_copy(update={"redis_url": server.broker_url})


# --- what is run ----------------------------------------------------------------------------
# Celery's programs are started as what our commands of their names become: three starts of
# Python fewer, of which each takes a second of one core.


def _workers(
    settings: Settings, count: int, pool: str, concurrency: int | None, queues: str | None
) -> Iterator[Unit]:
    from pyagent_orch.cli.celery_program import celery_command
    from pyagent_orch.cli.fleet import worker_options
    from pyagent_orch.stack.unit import Unit

    environment, ready = _environment(settings), _signs_of(settings, "workers")
    for number in range(1, count + 1):
        # Unique in the fleet, also when it is started again beside a lease that is left.
        name = f"up-{os.getpid()}-{number}"
        options = worker_options(settings, name, pool=pool, concurrency=concurrency, queues=queues)
        command = celery_command("worker", options, quiet=True)
        yield Unit(f"worker-{number}", command, environment, ready)


def _unit(service: Service, settings: Settings, ports: Mapping[str, int]) -> Unit:
    """The program of a service that is no worker."""
    from pyagent_orch.cli.celery_program import celery_command
    from pyagent_orch.stack.unit import Unit

    environment = _environment(settings)
    # They run no agents.
    for_celery = {**environment, "PYAGENT_ORCH_AGENTS": ""}
    if service.name == "beat":
        command = celery_command("beat", ["--loglevel", "INFO"], quiet=True)
        return Unit(service.name, command, for_celery, _signs_of(settings, "beats"))
    port = _free_port(service, ports.get(service.name))
    address = f"http://127.0.0.1:{port}"
    ready = _answers(address + service.path)
    if service.name == "flower":
        from pyagent_orch.cli.flower import PASSWORD, listening

        login, told = _login()
        for_celery.pop(PASSWORD, None)
        command = celery_command("flower", listening("127.0.0.1", port))
        return Unit(service.name, command, for_celery | login, ready, address + told)
    command = [sys.executable, "-m", "pyagent_orch", *service.words(port)]
    return Unit(service.name, command, environment, ready, address)


def _login() -> tuple[dict[str, str], str]:
    """The variables by which Flower knows who may log in, and what people have to be told.

    Raises:
        ConfigurationError: the password that is given is none that Flower can take.
    """
    from pyagent_orch.cli.flower import LOGINS, PASSWORD, PASSWORD_FILE, login_of

    if any(os.environ.get(name) for name in (PASSWORD, PASSWORD_FILE, *LOGINS)):
        return login_of("admin", None, no_password=False, address="127.0.0.1"), ""
    password = secrets.token_urlsafe(12)
    # Made for this run, and told to whoever started it: there is no other place for it.
    return {"FLOWER_BASIC_AUTH": f"admin:{password}"}, f", user admin, password {password}"


def _environment(settings: Settings) -> dict[str, str]:
    from pyagent_orch.cli.celery_program import celery_environment

    return {
        **os.environ,
        **celery_environment(settings),
        "PYAGENT_ORCH_STOP_TIMEOUT_SECONDS": str(min(settings.stop_timeout_seconds, STOP_TIMEOUT)),
        "PYTHONUNBUFFERED": "1",
    }


# --- ready --------------------------------------------------------------------------------


def _signs_of(settings: Settings, kind: str) -> Callable[[int], bool]:
    from pyagent_orch.store.vitals import Vitals

    vitals, host = Vitals(settings), socket.gethostname()

    def ready(pid: int) -> bool:
        try:
            signs = vitals.workers() if kind == "workers" else vitals.beats()
        except OrchestratorConnectionError:
            return False
        return any(
            sign.pid == pid and sign.is_alive and sign.name.endswith(f"@{host}") for sign in signs
        )

    return ready


def _answers(url: str) -> Callable[[int], bool]:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    def ready(_: int) -> bool:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - an address of this machine
                return True
        except HTTPError as error:
            # It is there and wants to know who asks.
            return error.code in {401, 403}
        except OSError:
            return False

    return ready


def _free_port(service: Service, wanted: int | None) -> int:
    """The port that is wanted, or the service's own, or any where that one is taken.

    Raises:
        ConfigurationError: the port that is wanted is taken.
    """
    tries = [service.port, 0] if wanted is None else [wanted]
    for port in tries:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError("--port", f"port {wanted} for {service.name} is taken")
