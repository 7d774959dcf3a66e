"""A valid instance of a JSON schema, the same each time for the same seed.

Pure. What the offline model answers where structured output is wanted: choices
and numbers are drawn by hash, so that votes differ between voters but not
between runs. Covers what pydantic writes for types, not all of JSON Schema.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from typing import Any

from pyagent_orch.agents.schema import Schema, problem_with

_FORMATS = {
    "date-time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "duration": "PT1H",
    "email": "offline@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
}
_TRIES = 64
"""How many values to try for an item that must differ from the others."""


class Sampler:
    """Makes instances of schemas.

    Args:
        seed: what to draw by; equal seeds give equal instances.
        text: what to put into strings that are free.
    """

    def __init__(self, seed: str, text: str) -> None:
        self._seed, self._text = seed, text
        self._turn = 0  # Grows with each collision, so that draws move on to the next choice.

    def instance(self, schema: Schema) -> Any:
        """A value that fits a self-contained schema.

        Raises:
            ValueError: none was found; names the part, which has a pattern for instance.
        """
        self._turn = 0
        value = self._value(schema, "output")
        problem = problem_with(value, schema)
        if problem is not None:
            raise ValueError(problem)
        return value

    def _draw(self, path: str) -> int:
        content = f"{self._seed}\0{path}".encode(errors="replace")
        return int.from_bytes(hashlib.sha256(content).digest()[:8]) + self._turn

    def _value(self, schema: Schema, path: str) -> Any:
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self._draw(path) % len(schema["enum"])]
        for given in (schema.get("default"), *schema.get("examples", ())[:1]):
            # Something rather than nothing: an optional field is filled.
            if given not in (None, "") and problem_with(given, schema) is None:
                return given
        if not schema.keys().isdisjoint({"anyOf", "oneOf", "allOf"}):
            return self._combined(schema, path)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        return self._of_type(kind, schema, path)

    def _combined(self, schema: Schema, path: str) -> Any:
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                parts = [p for p in schema[keyword] if p.get("type") != "null"] or schema[keyword]
                return self._value(parts[self._draw(path) % len(parts)], path)
        merged = {key: part for key, part in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            merged |= part
        return self._value(merged, path)

    def _of_type(self, kind: str, schema: Schema, path: str) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return self._draw(path) % 2 == 0
            case "integer" | "number":
                return self._number(schema, path, whole=kind == "integer")
            case "array":
                return self._array(schema, path)
            case "object":
                return self._object(schema, path)
        return self._string(schema, path)

    def _number(self, schema: Schema, path: str, *, whole: bool) -> int | float:
        step = schema.get("multipleOf") or (1 if whole else 0.01)
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        floor = max((bound for bound in (low, above) if bound is not None), default=None)
        ceiling = min((bound for bound in (high, below) if bound is not None), default=None)
        if floor is None:
            floor = 0 if ceiling is None or ceiling > 0 else ceiling - 10 * step
        if ceiling is None:
            ceiling = floor + (10 if whole else 1) * max(1, step)
        # Counted in steps, so that every draw is a multiple; the epsilon is for 0.1 + 0.2.
        first = math.ceil(floor / step - 1e-9)
        last = math.floor(ceiling / step + 1e-9)
        if above is not None and first * step <= above:
            first += 1
        if below is not None and last * step >= below:
            last -= 1
        if last < first:
            return float(floor + ceiling) / 2  # Narrower than a step.
        value = (first + self._draw(path) % (last - first + 1)) * step
        return int(value) if whole else round(float(value), 10)

    def _array(self, schema: Schema, path: str) -> list[Any]:
        items = [
            self._value(part, f"{path}[{index}]")
            for index, part in enumerate(schema.get("prefixItems", ()))
        ]
        part = schema.get("items")
        if not isinstance(part, dict):
            return items
        wanted = max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
        for index in range(len(items), wanted):
            for _ in range(_TRIES):
                item = self._value(part, f"{path}[{index}]")
                if not schema.get("uniqueItems") or item not in items:
                    items.append(item)
                    break
                self._turn += 1
        return items

    def _object(self, schema: Schema, path: str) -> dict[str, Any]:
        made = {
            name: self._value(part, f"{path}.{name}")
            for name, part in schema.get("properties", {}).items()
        }
        other = schema.get("additionalProperties")
        if isinstance(other, dict):
            for index in range(len(made), schema.get("minProperties", 1)):
                made[f"key{index + 1}"] = self._value(other, f"{path}.key{index + 1}")
        return made

    def _string(self, schema: Schema, path: str) -> str:
        form = str(schema.get("format"))
        if form.startswith("uuid"):
            number = self._draw(path) % 2**64 * (2**64 + 1)
            return str(uuid.UUID(int=number, version=int(form[4:] or 4)))
        text = _FORMATS.get(form, self._text)
        if self._turn:
            text = f"{text} {self._turn}"
        pattern = schema.get("pattern")
        if pattern is not None:
            tries = [text, *_candidates(self._draw(path))]
            text = next((t for t in tries if problem_with(t, schema) is None), text)
        short = schema.get("minLength", 0)
        if len(text) < short:
            text += "." * (short - len(text))
        longest: int = schema.get("maxLength", len(text))
        return text[:longest]


def _candidates(draw: int) -> list[str]:
    """Strings that common patterns accept: identifiers, codes, numbers, dates, versions."""
    digits = f"{draw % 10**12:012d}"
    letters = "".join(chr(ord("a") + draw // 26**place % 26) for place in range(12))
    return [
        *(letters[:length] for length in range(1, 13)),
        *(letters[:length].upper() for length in range(1, 13)),
        *(digits[:length] for length in range(1, 13)),
        *(
            letters[:left].upper() + "-" + digits[:right]
            for left in (1, 2, 3, 4)
            for right in range(1, 7)
        ),
        "2000-01-01",
        "00:00",
        "1.0.0",
        "v1.0.0",
        "#a1b2c3",
        "+10000000000",
        "https://example.com/",
        "offline@example.com",
        f"{letters[:4]}-{letters[4:8]}",
        f"{letters[:4]}_{letters[4:8]}",
    ]
