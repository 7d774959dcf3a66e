"""The strings that stand for outputs that do not exist yet.

Model layer, pure. A placeholder can be written into text, taken apart by `[key]`,
and, for a condition, compared; whatever would need the real text raises at submit.
Made by a `Trace` (`references.py`), which also knows what each one stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NoReturn, Self

from pyagent_orch.models.conditions import Condition
from pyagent_orch.models.values import JSONValue

if TYPE_CHECKING:
    from pyagent_orch.models.references import Trace


@dataclass(frozen=True, slots=True)
class Reference:
    """A task's output, or a part of it, that an input uses.

    Args:
        task_id: the task's id.
        task_name: the task's name, for errors.
        path: the keys and indexes from the output down to the part; empty is all of it.
    """

    task_id: str
    task_name: str
    path: tuple[str | int, ...] = ()

    def wire(self) -> list[JSONValue]:
        """The JSON form: the id, then the path."""
        return [self.task_id, *self.path]


_HARMLESS: Final = frozenset(
    {
        *("__class__", "__delattr__", "__dir__", "__doc__", "__getattribute__", "__getstate__"),
        *("__init__", "__init_subclass__", "__new__", "__setattr__", "__sizeof__"),
        *("__subclasshook__", "__str__", "__format__", "__repr__", "__add__", "__rmod__"),
    }
)
_FALLBACKS: Final = ("__bool__", "__bytes__", "__float__", "__int__")
"""Not methods of `str`, but Python would use its text or length in their place."""
_SAID: Final = {
    "__bool__": "`if`, `and`, `or` or `not`",
    "__contains__": "`in`",
    "__eq__": "==",
    "__ge__": ">=",
    "__getitem__": "[...]",
    "__gt__": ">",
    "__hash__": "use as a key or in a set",
    "__iter__": "going through it",
    "__le__": "<=",
    "__lt__": "<",
    "__mod__": "%",
    "__mul__": "*",
    "__ne__": "!=",
    "__rmul__": "*",
    "startswith": ".startswith() (which json.loads() calls too)",
    "__reduce__": "a copy",
    "__reduce_ex__": "a copy",
}


class TracedText(str):
    """Text that holds placeholders. It can be added to other text; all else is refused.

    What `str` can do is refused name by name below, also what a later Python
    adds to it.
    """

    __slots__ = ("trace",)
    trace: Trace

    def __new__(cls, text: str, trace: Trace) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, text)
        made.trace = trace
        return made

    def __str__(self) -> str:
        # Itself, not its text: `str(output).upper()` is refused as well.
        return self

    def __format__(self, spec: str) -> str:
        if spec:
            raise self.refused(f"the format {spec!r}")
        return self

    def __repr__(self) -> str:
        # Marked by the trace, so that `{output!r}` in an input is found and refused.
        return f"<text with outputs that do not exist yet, {self.trace.mark}>"

    def __add__(self, other: str) -> TracedText:
        return TracedText(str.__add__(self, self._text(other)), self.trace)

    def __radd__(self, other: str) -> TracedText:
        return TracedText(str.__add__(self._text(other), self), self.trace)

    def __rmod__(self, template: str) -> TracedText:
        if "%" in self._text(template).replace("%%", "").replace("%s", ""):
            raise self.refused(f"the format {template!r}")
        return TracedText(template % (self,), self.trace)

    def __getattr__(self, name: str) -> NoReturn:
        # No refusal: `hasattr` and debuggers may ask for what is not there.
        raise AttributeError(f"an output has no attributes here; write [{name!r}] for a key")

    def refused(self, use: str) -> Exception:
        """The error for a use that needs the real text."""
        return self.trace.refuse(f"{use} needs the real outputs")

    def _text(self, other: object) -> str:
        if isinstance(other, str):
            return other
        raise self.trace.refuse(f"an output is text here; {type(other).__name__} cannot be added")


def _refusal(name: str) -> Callable[..., NoReturn]:
    said = _SAID.get(name) or (f"{name[2:-2]}()" if name.startswith("__") else f".{name}()")

    def refuse(text: TracedText, *_args: object, **_options: object) -> NoReturn:
        raise text.refused(said)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


for _name in {*dir(str), *_FALLBACKS} - _HARMLESS:
    setattr(TracedText, _name, _refusal(_name))


class OutputReference(TracedText):
    """The placeholder for a task's output, or for a part of it by `[key]` or `[index]`.

    In a condition it can be compared with `==`, `!=`, `<`, `<=`, `>`, `>=` and
    `contains`, and joined with `&`, `|` and `~`.
    """

    __slots__ = ("reference",)
    reference: Reference

    def __new__(cls, text: str, trace: Trace, reference: Reference) -> Self:  # noqa: D102
        made = super().__new__(cls, text, trace)
        made.reference = reference
        return made

    __hash__ = TracedText.__hash__

    def __getitem__(self, key: object) -> OutputReference:  # never a letter
        if isinstance(key, bool | TracedText) or not isinstance(key, str | int):
            kind = type(key).__name__
            raise self.refused("a slice" if isinstance(key, slice) else f"an index of type {kind}")
        # Exact types, since an enum's member would not be JSON's text everywhere.
        exact = str.__str__(key) if isinstance(key, str) else int(key)
        path = (*self.reference.path, exact)
        return self.trace.output(replace(self.reference, path=path))

    def __repr__(self) -> str:
        path = "".join(f"[{key!r}]" for key in self.reference.path)
        name = self.reference.task_name
        return f"<output{path} of task {name!r} that does not exist yet, {self.trace.mark}>"

    def refused(self, use: str) -> Exception:
        """The error for a use that needs the real output."""
        return self.trace.refuse(f"{use} needs the real output of {self.reference.task_name!r}")

    def contains(self, value: object) -> Condition:
        """Whether a text holds a text, a list an item, or a dict a key; Python's `in`."""
        return self._compare("contains", value)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare("==", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare("!=", other)

    def __lt__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare("<", other)

    def __le__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare("<=", other)

    def __gt__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare(">", other)

    def __ge__(self, other: object) -> Condition:  # type: ignore[override]  # an expression
        return self._compare(">=", other)

    def __and__(self, other: object) -> Condition:
        return self._truth() & other

    def __rand__(self, other: object) -> Condition:
        return other & self._truth()  # by Condition

    def __or__(self, other: object) -> Condition:
        return self._truth() | other

    def __ror__(self, other: object) -> Condition:
        return other | self._truth()  # by Condition

    def __invert__(self) -> Condition:
        return ~self._truth()

    def _compare(self, operator: str, other: object) -> Condition:
        if not self.trace.conditions:
            raise self.refused(_SAID.get(operator, operator))
        return self.trace.compare(operator, self, other)

    def _truth(self) -> Condition:
        if not self.trace.conditions:
            raise self.refused("& | ~")
        return self.trace.condition(self)
