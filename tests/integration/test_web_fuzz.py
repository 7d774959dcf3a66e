"""The router against its own OpenAPI document, and against hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pyagent_orch import Orchestrator
from support.web import app_of, follow, served

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "line\nline\r\ndata: forged\n\nid: 1-1\nevent: end",
    "\x00\x01\x1b[31m\x7f\u0085\u2028\u2029",
    "\u202egnp.exe",
    "{{7*7}} ${7*7} {a.output}",
    "'; DROP TABLE tasks; --",
    "\U0001d573 🦉 e\u0301",
]


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def client(orchestrator: Orchestrator) -> Iterator[httpx.Client]:
    with served(app_of(orchestrator)) as client:
        yield client


def test_every_answer_fits_the_openapi_document(client: httpx.Client) -> None:
    load_all_checks()
    document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) > 25
    told: list[str] = []
    for operation in operations:
        if operation.path.endswith("/events"):
            # A stream that has no end; its errors are tested elsewhere.
            continue

        @settings(
            max_examples=8, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            answer = case.call(base_url=str(client.base_url))
            told.append(f"{case.method} {case.path} {answer.status_code}")
            assert answer.status_code < 500, (answer.status_code, answer.text)
            # Which agents there are, and which cron line fires, no schema can say.
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        send()
    # It was not all refused.
    assert any(line.endswith((" 200", " 201")) for line in told)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_it_was_and_breaks_nothing(
    client: httpx.Client, text: str
) -> None:
    body = {"agent": "web_echo", "input": text, "name": text, "metadata": {text: text}}
    made = client.post("/tasks", json=body)
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    events = follow(client, f"/tasks/{name}/events?after=0-0")
    assert [one.name for one in events if one.name in {"snapshot", "end"}] == ["end"]
    assert {one.data["data"]["name"] for one in events if one.name == "event"} == {text}
    task = client.get(f"/tasks/{name}").json()
    assert (task["input"], task["output"], task["name"]) == (text, text, text)
    assert task["metadata"] == {text: text}
    listed = client.get("/tasks", params={"name": text}).json()["items"]
    assert name in [one["id"] for one in listed]
    broken = client.post("/tasks", json={"agent": "web_break", "input": text, "name": text}).json()
    assert follow(client, f"/tasks/{broken['id']}/events")[-1].data["error"]["message"] == text
    flow = {"name": text, "tasks": [{"name": text, "agent": "web_echo", "input": "x"}]}
    answer = client.post("/workflows", json=flow)
    assert answer.status_code == 201, answer.text
    shown = client.get(f"/workflows/{answer.json()['id']}").json()
    assert (shown["name"], shown["tasks"][0]["name"]) == (text, text)
    for path in ("/tasks/", "/workflows/", "/schedules/"):
        refused = client.get(path + quote(text, safe=""))
        assert refused.status_code in {404, 422}


@settings(max_examples=30, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
))  # fmt: skip
def test_any_json_goes_in_and_comes_out(client: httpx.Client, value: object) -> None:
    made = client.post("/tasks", json={"agent": "web_echo", "input": value})
    assert made.status_code == 201, made.text
    follow(client, f"/tasks/{made.json()['id']}/events")
    assert client.get(f"/tasks/{made.json()['id']}").json()["output"] == value
