"""The command that starts Flower, Celery's web monitor, with a password.

Command line. Flower shows inputs and outputs, and its buttons stop workers: nobody
gets in without a password, which never stands in the list of processes.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import NoReturn

import click

from pyagent_orch.cli.arguments import Installation, command
from pyagent_orch.cli.celery_program import become
from pyagent_orch.exceptions import ConfigurationError

PASSWORD = "PYAGENT_ORCH_FLOWER_PASSWORD"  # noqa: S105 - a name, not a password
PASSWORD_FILE = "PYAGENT_ORCH_FLOWER_PASSWORD_FILE"  # noqa: S105 - likewise
LOGINS = ("FLOWER_BASIC_AUTH", "FLOWER_AUTH")
"""Flower's own variables: users with passwords, or who may log in through OAuth."""
_OURS = ("address", "port", "basic_auth", "unix_socket", "auth", "read_only")


@command("flower", "Fleet")
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Where it listens; 0.0.0.0 for all interfaces.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5555, show_default=True, help="Its port."
)
@click.option("--user", default="admin", show_default=True, metavar="NAME", help="Who logs in.")
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help=f"Holds the password; {PASSWORD_FILE} or {PASSWORD} otherwise.",
)
@click.option("--no-password", is_flag=True, help="Let everybody in; on a loopback address only.")
@click.option("--read-only", is_flag=True, help="Only look: no button stops or revokes anything.")
@click.argument("flower_options", metavar="[-- FLOWER OPTIONS]", nargs=-1, type=click.UNPROCESSED)
def flower(
    installation: Installation,
    *,
    address: str,
    port: int,
    user: str,
    password_file: str | None,
    no_password: bool,
    read_only: bool,
    flower_options: tuple[str, ...],
) -> NoReturn:
    """Start Flower, Celery's web monitor; Ctrl-C ends it.

    The same as `celery -A workers.celery_app flower` with a password. While it runs, the
    workers send task events, which costs part of their throughput.
    """
    settings = installation.fleet_settings()
    if importlib.util.find_spec("flower") is None:
        raise ConfigurationError("flower", "it is not here: pip install 'pyagent-orch[flower]'")
    _check_options(flower_options)
    login = login_of(user, password_file, no_password=no_password, address=address)
    # A password that came in by one variable is not to stay in two.
    os.environ.pop(PASSWORD, None)
    # Flower waits for its workers' answers and for events; it runs no agents.
    become(
        settings.model_copy(update={"agents": ()}),
        "flower",
        [*listening(address, port), f"--read_only={read_only}", *flower_options],
        login,
    )


def listening(address: str, port: int) -> list[str]:
    """Flower's options that say where it listens."""
    return [f"--address={address}", f"--port={port}"]


def _check_options(options: tuple[str, ...]) -> None:
    for option in options:
        name = option.lstrip("-").partition("=")[0].replace("-", "_")
        if name in _OURS:
            raise click.UsageError(
                f"{option.partition('=')[0]} after -- would undo what is checked before it; "
                "see the options of `pyagent-orch flower --help`"
            )


def login_of(
    user: str, password_file: str | None, *, no_password: bool, address: str
) -> dict[str, str]:
    """The variables by which Flower gets to know who may log in.

    Raises:
        ConfigurationError: there is no password, or one that Flower cannot take.
    """
    if no_password:
        if not is_loopback(address):
            raise ConfigurationError(
                "--no-password",
                f"Flower at {address} would let everybody on the network stop workers; give it "
                f"a password ({PASSWORD}), or keep it on 127.0.0.1",
            )
        for name in LOGINS:
            os.environ.pop(name, None)
        return {}
    password = _password(password_file)
    if password is None:
        if any(os.environ.get(name) for name in LOGINS):
            return {}
        raise ConfigurationError(
            PASSWORD,
            "Flower shows inputs and outputs and can stop workers, so it needs a password: set "
            f"this variable, or {PASSWORD_FILE} to a file that holds it; on this machine only, "
            "--no-password does without",
        )
    # Flower splits at commas, and the user's name ends at the first colon.
    if "," in password or "," in user or ":" in user or not user:
        raise ConfigurationError(
            PASSWORD, "Flower takes no comma in a password, and no comma or colon in a user's name"
        )
    os.environ.pop("FLOWER_AUTH", None)
    return {"FLOWER_BASIC_AUTH": f"{user}:{password}"}


def _password(given: str | None) -> str | None:
    path = given or os.environ.get(PASSWORD_FILE)
    if path:
        try:
            password = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigurationError(PASSWORD_FILE, f"{path} cannot be read: {reason}") from None
        if not password:
            raise ConfigurationError(PASSWORD_FILE, f"{path} is empty; write the password into it")
        return password
    return os.environ.get(PASSWORD, "").strip() or None


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
