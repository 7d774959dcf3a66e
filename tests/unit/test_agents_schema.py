"""Output schemas: made self-contained, checked against, and filled by the offline model."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import UUID5, BaseModel, Field, TypeAdapter

from pyagent_orch.agents.sample import Sampler
from pyagent_orch.agents.schema import as_object, problem_with, self_contained


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    colour: Colour
    weight: Annotated[float, Field(gt=0, le=1)]


class Whole(BaseModel):
    title: Annotated[str, Field(min_length=3, max_length=20)]
    parts: Annotated[list[Part], Field(min_length=1)]
    main: Part
    spare: Part | None = None
    labels: dict[str, int] = {}
    pair: tuple[int, str] = (1, "x")
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")]
    choice: Literal["approve", "reject", "abstain"]
    unique: Annotated[set[Colour], Field(min_length=2)]
    step: Annotated[int, Field(multiple_of=5, ge=7, lt=21)]
    flag: bool
    size: Literal[1, 2] | None


TYPES = [
    Whole,
    Part,
    list[Part],
    dict[str, Part],
    Colour,
    int,
    bool,
    None,
    float,
    tuple[int, str, bool],
    int | None,
    int | str,
    Annotated[float, Field(gt=0, lt=1)],
    Annotated[float, Field(ge=0.5, le=0.5)],
    Annotated[int, Field(lt=-3)],
    Annotated[list[int], Field(min_length=5, max_length=7)],
    Annotated[set[int], Field(min_length=11)],
    UUID,
    UUID5,
    datetime,
    Annotated[set[str], Field(min_length=6)],
    Annotated[set[Literal[tuple("abcdefghijklmnopqrst")]], Field(min_length=20)],
]


def schema_of(kind):
    return self_contained(TypeAdapter(kind).json_schema())


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(seed=st.text(max_size=10), text=st.text(max_size=50))
def test_a_sample_fits_its_type(kind, seed, text):
    sample = Sampler(seed, text).instance(schema_of(kind))
    TypeAdapter(kind).validate_json(json.dumps(sample))


@pytest.mark.parametrize("form", ["date-time", "date", "time", "duration", "uuid", "email", "uri"])
def test_a_sample_has_the_format(form):
    sample = Sampler("seed", "text").instance({"type": "string", "format": form})
    assert sample != "text"


def test_samples_are_the_same_each_time_and_differ_between_seeds():
    schema = schema_of(Literal["approve", "reject", "abstain"])
    votes = [Sampler(str(n), "").instance(schema) for n in range(60)]
    assert votes == [Sampler(str(n), "").instance(schema) for n in range(60)]
    assert set(votes) == {"approve", "reject", "abstain"}


def test_a_pattern_that_cannot_be_met_is_named():
    with pytest.raises(ValueError, match="output must match"):
        Sampler("seed", "text").instance({"type": "string", "pattern": r"^(x{3}y){7}$"})


GOOD = {
    "title": "abc",
    "parts": [{"colour": "red", "weight": 1}],
    "main": {"colour": "blue", "weight": 0.5},
    "code": "AB-123",
    "choice": "approve",
    "unique": ["red", "blue"],
    "step": 10,
    "flag": True,
    "size": None,
}


def test_a_value_that_fits_has_no_problem():
    assert problem_with(GOOD, schema_of(Whole)) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": "ab"}, "output.title is too short"),
        ({"title": "a" * 21}, "output.title is too long"),
        ({"title": 5}, "output.title must be of type string"),
        ({"parts": []}, "output.parts is too short"),
        ({"parts": [{"colour": "red", "weight": 0}]}, r"output.parts\[\].weight is 0"),
        ({"parts": [{"colour": "green", "weight": 1}]}, "output.parts.*must be one of"),
        ({"main": {"weight": 1}}, "output.main lacks colour"),
        ({"code": "ab"}, "output.code must match"),
        ({"choice": "maybe"}, "output.choice must be one of"),
        ({"unique": ["red", "red"]}, "must not repeat"),
        ({"step": 11}, "multiple of 5"),
        ({"step": 25}, "exclusiveMaximum 21"),
        ({"flag": 1}, "output.flag must be of type boolean"),
        ({"step": True}, "output.step must be of type integer"),
        ({"size": True}, "output.size"),
        ({"labels": {"x": "y"}}, "output.labels.x must be of type integer"),
        ({"spare": {"colour": "red"}}, "output.spare lacks weight"),
    ],
)
def test_what_does_not_fit_is_said_in_words(change, problem):
    assert problem_with(GOOD, schema_of(Whole)) is None
    with pytest.raises(ValueError, match=problem):
        raise ValueError(problem_with(GOOD | change, schema_of(Whole)))


def test_a_field_too_many_is_refused_where_the_type_forbids_it():
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    assert problem_with({"a": 1}, schema) is None
    assert problem_with({"a": 1, "b": 2}, schema) == "output must not have b"


def test_references_are_put_in_place_whatever_the_fields_are_called():
    class Odd(BaseModel):
        definitions: list[Part]
        ref: Annotated[str, Field(alias="$ref")]

    schema = schema_of(Odd)
    assert set(schema["properties"]) == {"definitions", "$ref"}
    assert schema["properties"]["definitions"]["items"]["properties"]["weight"]


def test_what_is_no_object_is_asked_for_in_a_field():
    schema, wrapped = as_object({"type": "integer"})
    assert wrapped
    assert schema["properties"] == {"result": {"type": "integer"}}
    assert as_object(schema) == (schema, False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values)
def test_the_check_agrees_with_pydantic_on_strict_types(value):
    kind = list[int | str | None] | dict[str, bool] | float
    adapter = TypeAdapter(kind)
    try:
        adapter.validate_json(json.dumps(value), strict=True)
        fits = True
    except ValueError:
        fits = False
    # JSON Schema counts 1.0 as an integer; pydantic's strict mode does not.
    if not (isinstance(value, list) and any(isinstance(item, float) for item in value)):
        assert (problem_with(value, schema_of(kind)) is None) == fits
