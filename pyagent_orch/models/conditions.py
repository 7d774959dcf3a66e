"""What `when=` says about outputs that do not exist yet: a small expression tree.

Model layer, pure. Made by the placeholders of `references.py`, written and
evaluated by `pyagent_orch.inputs`; it never sees an output itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pyagent_orch.models.values import JSONValue

if TYPE_CHECKING:
    from pyagent_orch.models.references import Trace


class Condition:
    """A comparison of outputs, or several joined by `&`, `|` and `~`.

    Lives as long as the trace that made it. Never true or false by itself:
    `bool()`, `and`, `or`, `not` and a chained `1 < x < 5` raise with the remedy.

    Args:
        expression: JSON: `[operator, operand, operand]` with `==`, `!=`, `<`, `<=`,
            `>`, `>=` or `contains` (Python's `in`, the other way round);
            `["truth", operand]`; `["not", expression]`; `["and", expression, ...]` and
            `["or", expression, ...]`. An operand is `{"r": [task id, *path]}` or
            `{"v": value}`.
        trace: the trace it belongs to.
    """

    __slots__ = ("expression", "trace")

    def __init__(self, expression: list[JSONValue], trace: Trace) -> None:
        self.expression, self.trace = expression, trace

    def __and__(self, other: object) -> Condition:
        return self._join("and", self, other)

    def __rand__(self, other: object) -> Condition:
        return self._join("and", other, self)

    def __or__(self, other: object) -> Condition:
        return self._join("or", self, other)

    def __ror__(self, other: object) -> Condition:
        return self._join("or", other, self)

    def __invert__(self) -> Condition:
        return Condition(["not", self.expression], self.trace)

    def _join(self, operator: str, *sides: object) -> Condition:
        joined: list[JSONValue] = [operator]
        for side in sides:
            expression = self.trace.condition(side).expression
            # Flat, so that a long row of conditions is not a deep one.
            joined += expression[1:] if expression[0] == operator else [expression]
        return Condition(joined, self.trace)

    def __repr__(self) -> str:
        return f"<condition {self.expression}>"

    def __bool__(self) -> bool:
        raise self.trace.refuse(
            "`if`, `and`, `or`, `not`, `in` and `1 < x < 5` need the real outputs; join conditions "
            "with & | ~, each in brackets, and write `x.contains(y)` for `y in x`"
        )

    __hash__ = None  # type: ignore[assignment]  # a condition is no key

    def __eq__(self, other: object) -> NoReturn:
        raise self.trace.refuse("a condition cannot be compared; use ~ for `== False`")

    def __ne__(self, other: object) -> NoReturn:
        raise self.trace.refuse("a condition cannot be compared; use ~ for `== True`")
