"""Callbacks by name: what of them outlives a process, and how it is found again.

Part of the room of the state file. Only what stands at the top of a module under
its own name can be found again; a lambda or a closure cannot.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long a function of the running script may not be there: the script defines it below."""
_POLL_SECONDS = 0.02


def name_of(function: object) -> str:
    """`module:qualname` under which a function is found again; empty when it cannot be."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return ""
    return f"{module}:{qualname}" if _look_up(module, qualname) is function else ""


class NamedCallback:
    """A callback that is looked for when it is called.

    Args:
        path: what `name_of` gave in an earlier process.
        missing: called instead when there is no such function any more.
    """

    def __init__(self, path: str, missing: Callable[[], None]) -> None:
        self.path, self._missing = path, missing

    def __call__(self, live: object) -> Any:
        """Call it; what it returns."""
        try:
            function = find(self.path)
        except LookupError as error:
            self._missing()
            if self.path not in _told:
                _told.add(self.path)
                logger.warning(
                    "The callback %s, which the state file promises, is not called: %s. It stays "
                    "in the file for the next start. (This is said once.)",
                    self.path,
                    error,
                )
            return None
        return function(live)


_missing: set[str] = set()
_told: set[str] = set()


def find(path: str) -> Callable[[Any], object]:
    """Find a function by its name; its module is imported.

    Waits for one of the running script, which restores its state while it is still
    being run, as long as that runs in another thread.

    Raises:
        LookupError: there is none.
    """
    module, _, qualname = path.partition(":")
    if module not in sys.modules:
        try:
            import_module(module)
        except Exception as error:
            # The module is the user's, so it may raise anything.
            raise LookupError(f"{module!r} cannot be imported: {error}") from error
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (function := _look_up(module, qualname)) is None:
        in_this_thread = threading.current_thread() is threading.main_thread()
        if module != "__main__" or in_this_thread or path in _missing:
            break
        if time.monotonic() > deadline:
            _missing.add(path)
            break
        time.sleep(_POLL_SECONDS)
    if function is None:
        raise LookupError(f"module {module!r} has no function {qualname!r} any more")
    return function


def _look_up(module: str, qualname: str) -> Callable[[Any], object] | None:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None
