"""JSON schemas of agents' outputs: made self-contained, wrapped, and checked against.

Pure. Covers the part of JSON Schema that pydantic writes; a keyword that is not
known here does not refuse a value. Knows no model and no agent.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]
"""A JSON schema as Python reads it."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_BOUNDS = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}
_ROUNDING = 1e-9
_REF_PREFIXES = ("#/$defs/", "#/definitions/")


def self_contained(schema: Schema) -> Schema:
    """Put what `$ref` points at in its place, so that no part needs another one.

    Raises:
        ValueError: a reference goes in a circle or points nowhere.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}

    def walk(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [walk(part, inside) for part in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {key: walk(part, inside) for key, part in node.items()}
        rest = {key: walk(part, inside) for key, part in node.items() if key != "$ref"}
        name = reference
        for prefix in _REF_PREFIXES:
            name = name.removeprefix(prefix)
        if name in inside:
            raise ValueError(f"the output type {name!r} contains itself, which models cannot fill")
        if name == reference or name not in definitions:
            raise ValueError(f"the output schema refers to {reference!r}, which it does not define")
        return walk(definitions[name], (*inside, name)) | rest

    body = {key: part for key, part in schema.items() if key not in {"$defs", "definitions"}}
    contained: Schema = walk(body, ())
    return contained


def as_object(schema: Schema) -> tuple[Schema, bool]:
    """The schema as one of an object, which is all that models are asked for.

    Returns:
        The schema, and whether the value was put into a field `result` of it.
    """
    if schema.get("type") == "object":
        return schema, False
    return {"type": "object", "properties": {"result": schema}, "required": ["result"]}, True


def problem_with(value: object, schema: Schema, path: str = "output") -> str | None:
    """Say in words why a value does not fit a self-contained schema; None if it does."""
    for check in (_wrong_choice, _wrong_type, _wrong_size, _wrong_parts):
        problem = check(value, schema, path)
        if problem is not None:
            return problem
    return None


def _wrong_choice(value: object, schema: Schema, path: str) -> str | None:
    if "const" in schema and not _same(value, schema["const"]):
        return f"{path} must be {schema['const']!r}"
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        return f"{path} must be one of {schema['enum']!r}"
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            problems = [problem_with(value, part, path) for part in schema[keyword]]
            if None not in problems:
                return " or ".join(dict.fromkeys(p for p in problems if p))
    for part in schema.get("allOf", ()):
        problem = problem_with(value, part, path)
        if problem is not None:
            return problem
    return None


def _same(value: object, choice: object) -> bool:
    # In Python True == 1; in JSON they are two values.
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def _wrong_type(value: object, schema: Schema, path: str) -> str | None:
    wanted = schema.get("type")
    if wanted is None:
        return None
    names = wanted if isinstance(wanted, list) else [wanted]
    if any(_is_of_type(value, name) for name in names):
        return None
    return f"{path} must be of type {' or '.join(names)}"


def _is_of_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, (object,)))


def _wrong_size(value: object, schema: Schema, path: str) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _wrong_number(value, schema, path)
    if isinstance(value, str):
        pattern = schema.get("pattern")
        if pattern is not None and not re.search(pattern, value):
            return f"{path} must match {pattern!r}"
        return _wrong_count(len(value), schema, "Length", path)
    if isinstance(value, list):
        if schema.get("uniqueItems") and len({repr(item) for item in value}) < len(value):
            return f"{path} must not repeat an item"
        return _wrong_count(len(value), schema, "Items", path)
    if isinstance(value, dict):
        return _wrong_count(len(value), schema, "Properties", path)
    return None


def _wrong_number(value: float, schema: Schema, path: str) -> str | None:
    for keyword, fits in _BOUNDS.items():
        bound = schema.get(keyword)
        if bound is not None and not fits(value, bound):
            return f"{path} is {value}, against {keyword} {bound}"
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > _ROUNDING:
        return f"{path} must be a multiple of {step}"
    return None


def _wrong_count(count: int, schema: Schema, what: str, path: str) -> str | None:
    if count < schema.get(f"min{what}", 0):
        return f"{path} is too short"
    if count > schema.get(f"max{what}", count):
        return f"{path} is too long"
    return None


def _wrong_parts(value: object, schema: Schema, path: str) -> str | None:
    parts: list[tuple[object, Schema, str]] = []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"{path} lacks {', '.join(missing)}"
        other = schema.get("additionalProperties", True)
        strange = [name for name in value if name not in known]
        if strange and other is False:
            return f"{path} must not have {', '.join(strange)}"
        parts += [(value[name], known[name], f"{path}.{name}") for name in value if name in known]
        if isinstance(other, dict):
            parts += [(value[name], other, f"{path}.{name}") for name in strange]
    elif isinstance(value, list):
        fixed = schema.get("prefixItems", [])
        parts += [(item, part, path) for item, part in zip(value, fixed, strict=False)]
        if isinstance(schema.get("items"), dict):
            parts += [(item, schema["items"], f"{path}[]") for item in value[len(fixed) :]]
    for item, part, where in parts:
        problem = problem_with(item, part, where)
        if problem is not None:
            return problem
    return None
