"""Says so when `celery -A workers.celery_app flower` would let everybody in.

`pyagent-orch flower` refuses that; Celery's own command is Flower's business, which asks for
nothing and listens on all addresses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

logger = logging.getLogger(__name__)

_LOGINS = ("basic_auth", "auth")
_CONF = "flowerconfig.py"


def warn_if_open(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Warn when a command line starts a Flower that has no login and serves other machines.

    Args:
        words: the command line behind the program's name; of any of Celery's programs.
        environ: the environment.
    """
    if "flower" not in words:
        return
    options = _options(words[list(words).index("flower") + 1 :], environ)
    if any(options.get(name) for name in _LOGINS) or options.get("unix_socket"):
        return
    address = options.get("address", "")
    if _is_loopback(address) or _has_login(Path(options.get("conf") or _CONF)):
        return
    logger.warning(
        "Flower at %s has no password: whoever reaches it reads inputs and outputs and stops "
        "workers. Start it with `pyagent-orch flower`, or give it FLOWER_BASIC_AUTH=user:password "
        "or --address=127.0.0.1; see docs/flower.md",
        address or "every address of this machine",
    )


def _options(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Flower's options by their names: of the environment, and of the command line over them."""
    found = {
        name.removeprefix("FLOWER_").lower(): value
        for name, value in environ.items()
        if name.startswith("FLOWER_")
    }
    for word in words:
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            found[name.replace("-", "_")] = value
    return found


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _has_login(conf: Path) -> bool:
    """Whether Flower's configuration file, a module of Python, sets one."""
    try:
        text = conf.read_text()
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(rf"^\s*({'|'.join(_LOGINS)})\s*=", text, re.MULTILINE) is not None
