"""The error tree: what survives a trip, and what users are told."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
from celery import Celery

from pyagent_orch import exceptions
from pyagent_orch.exceptions import PyAgentOrchError

SAMPLES: dict[str, tuple[Any, ...]] = {
    "setting": ("PYAGENT_ORCH_QUEUE",),
    "sent": (["a"],),
    "unsent": (["b", "c"],),
    "path": (["a", "b", "a"],),
    "known": (["echo", "upper"],),
    "retry_after": (2.5,),
}
"""Values for parameters that are no plain text."""


def every_error() -> list[type[PyAgentOrchError]]:
    return [
        error
        for _, error in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(error, PyAgentOrchError) and error.__module__ == exceptions.__name__
    ]


def sample(error: type[PyAgentOrchError]) -> PyAgentOrchError:
    """One of it, with every argument given."""
    names = [
        name
        for name, parameter in inspect.signature(error.__init__).parameters.items()
        if name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    return error(*(SAMPLES.get(name, (f"the-{name}",))[0] for name in names))


@pytest.mark.parametrize("kind", every_error())
def test_an_error_made_again_from_its_arguments_says_the_same(kind: type[PyAgentOrchError]) -> None:
    error = sample(kind)
    for again in (
        kind(*error.args),
        copy.copy(error),
        pickle.loads(pickle.dumps(error)),
    ):
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", every_error())
def test_an_error_survives_celerys_json_backend(kind: type[PyAgentOrchError]) -> None:
    error = sample(kind)
    with Celery(broker="memory://", backend="cache+memory://", set_as_current=False) as app:
        app.conf.result_serializer = "json"
        backend = app.backend
        stored = backend.decode(backend.encode(backend.prepare_exception(error, "json")))
        again = backend.exception_to_python(stored)
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", every_error())
def test_every_argument_is_an_attribute_or_in_the_text(kind: type[PyAgentOrchError]) -> None:
    error = sample(kind)
    for value in error.args:
        assert value in vars(error).values() or str(value) in str(error)


@pytest.mark.parametrize("kind", every_error())
def test_a_text_is_one_line_for_people(kind: type[PyAgentOrchError]) -> None:
    text = str(sample(kind))
    if kind is not PyAgentOrchError:
        assert text
    assert "\n" not in text
    assert not text.startswith(("(", "["))


@pytest.mark.parametrize("kind", every_error())
def test_every_error_is_documented(kind: type[PyAgentOrchError]) -> None:
    assert kind.__doc__
    assert kind.__doc__ != PyAgentOrchError.__doc__ or kind is PyAgentOrchError


def test_standard_errors_are_second_parents_where_users_expect_them() -> None:
    expected = {
        "ConfigurationError": ValueError,
        "InvalidTaskError": ValueError,
        "InputError": ValueError,
        "OrchestratorConnectionError": ConnectionError,
        "OrchestratorClosedError": RuntimeError,
        "TaskNotFoundError": LookupError,
        "AgentNotFoundError": LookupError,
        "TaskTimeoutError": TimeoutError,
    }
    for name, parent in expected.items():
        assert issubclass(getattr(exceptions, name), parent)


def test_every_error_of_the_public_contract_can_be_imported_from_the_package() -> None:
    import pyagent_orch

    for error in every_error():
        assert getattr(pyagent_orch, error.__name__) is error


def test_an_unknown_agent_is_told_with_the_nearest_name() -> None:
    text = str(exceptions.AgentNotFoundError("resaercher", ["writer", "researcher"]))
    assert "did you mean 'researcher'?" in text
    assert "known: researcher, writer" in text
    assert "known: none" in str(exceptions.AgentNotFoundError("x"))


def test_an_outage_is_told_in_whole_sentences() -> None:
    text = str(exceptions.OrchestratorConnectionError("r:6379", "Connection refused."))
    assert text.startswith("Redis at r:6379 is out of reach: Connection refused. Check")


def test_a_bulk_submit_that_stopped_names_the_first_task_to_send_again() -> None:
    text = str(exceptions.SubmitError(["a"], ["b", "c"], "Redis went away"))
    assert "1 tasks were recorded and 2 were not (first: b): Redis went away" in text
