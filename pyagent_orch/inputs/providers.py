"""What the inputs of scheduled runs may name besides outputs: `{metrics}`, `{scheduled_at}`.

Pure but for calling the user's functions; filled in on the worker, when a run starts. A
name that no provider of that worker has stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.inputs.render import as_text
from pyagent_orch.models.values import JSONValue, to_json

F = TypeVar("F", bound=Callable[..., Any])
BUILT_IN = ("scheduled_at", "run", "job")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GAP = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_providers: dict[str, Callable[[], Any]] = {}


def context_provider(name: str) -> Callable[[F], F]:
    """Register a function whose answer stands where a scheduled input says `{name}`.

    It is called without arguments on the worker, once for each attempt of a run whose input
    names it; what it raises fails the attempt, and so does a call that takes longer than the
    task's `timeout`. It may be a coroutine function. It has to be
    registered in the worker: in this process (embedded mode), or in a module that
    `PYAGENT_ORCH_AGENTS` names. Registering a name again replaces its function.

    Args:
        name: letters, digits and `_`; not `scheduled_at`, `run` or `job`.

    Raises:
        ScheduleError: the name is none, or is taken by what every run has.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in BUILT_IN:
        raise ScheduleError(
            "context_provider",
            f"{name!r} is no name for one: letters, digits and '_', not {', '.join(BUILT_IN)}",
        )

    def register(function: F) -> F:
        _providers[name] = function
        return function

    return register


class Gaps:
    """Fills the gaps of one run's input; each provider is asked once at the most.

    Args:
        tick: what the record says of the run: `job`, `scheduled_at` and `run`; JSON.
        ask: calls the provider of a name, which may be a coroutine function.
    """

    def __init__(self, tick: str, ask: Callable[[str, Callable[[], Any]], object]) -> None:
        self._ask = ask
        self._known: dict[str, JSONValue] = dict(cast("Mapping[str, JSONValue]", json.loads(tick)))

    def fill(self, value: JSONValue) -> JSONValue:
        """Fill the texts of a value; one that is nothing but a gap becomes what is provided."""
        if isinstance(value, str):
            alone = _GAP.fullmatch(value)
            if alone:
                return self._find(alone[1], value)
            return _GAP.sub(lambda gap: as_text(self._find(gap[1], gap[0])), value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        return value

    def fill_template(self, wire: str) -> str:
        """Fill the literal texts of an input's wire form; outputs of tasks are left alone."""
        return to_json(self._node(json.loads(wire)))

    def _node(self, node: dict[str, Any]) -> dict[str, Any]:
        ((kind, content),) = node.items()
        if kind == "v":
            content = self.fill(content)
        elif kind == "t":
            content = [as_text(self.fill(one)) if isinstance(one, str) else one for one in content]
        elif kind == "l":
            content = [self._node(item) for item in content]
        elif kind == "d":
            content = {key: self._node(item) for key, item in content.items()}
        return {kind: content}

    def _find(self, name: str, gap: str) -> JSONValue:
        if name not in self._known:
            provider = _providers.get(name)
            if provider is None:
                return gap
            self._known[name] = json.loads(to_json(self._ask(name, provider)))
        return self._known[name]
