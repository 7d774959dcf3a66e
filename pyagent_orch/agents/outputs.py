"""What an agent returned, as JSON.

Knows values and errors, no model and no event loop.
"""

from __future__ import annotations

import json

from pydantic_core import PydanticSerializationError, to_jsonable_python

from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.values import JSONValue


def as_json(value: object, agent: str) -> JSONValue:
    """Turn an agent's output into a JSON value.

    pydantic models, dataclasses, dates, enumerations, sets and the like are
    written by pydantic's rules.

    Raises:
        AgentError: a part has no JSON form, names the agent.
    """
    if value is None or isinstance(value, bool | int):
        return value
    try:
        if type(value) is str:
            value.encode()
            return value
        converted: JSONValue = to_jsonable_python(value)
        # NaN and lone surrogates pass until they are written.
        json.dumps(converted, ensure_ascii=False, allow_nan=False).encode()
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise AgentError(
            agent,
            f"it returned a {type(value).__name__} that has no JSON form ({error}); return text, "
            "numbers, lists, dicts, dataclasses or pydantic models",
        ) from error
    return converted
