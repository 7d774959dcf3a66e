"""Settings: from the environment, with errors that name the variable and show no value."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from pyagent_orch import ConfigurationError, Orchestrator, Settings
from pyagent_orch.config import ENV_PREFIX

SECRET = "s3cr3t"


def test_nothing_set_means_embedded_with_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.redis_url is None
    assert (settings.namespace, settings.queue) == ("default", "agents")
    assert settings.record_ttl_seconds == 7 * 86_400
    assert settings.model is None


def test_every_field_can_be_set_by_its_variable() -> None:
    given = {
        "redis_url": "redis://h:1/2", "namespace": "ns", "agents": "a.b, c ,", "model": "openai:x",
        "queue": "q", "record_ttl_seconds": "60", "events_max_length": "5000",
        "lease_seconds": "2.5", "heartbeat_seconds": "0.5", "max_worker_losses": "7",
        "concurrency": "3", "connect_timeout_seconds": "1", "socket_timeout_seconds": "2",
        "signals": "all",
    }  # fmt: skip
    settings = Settings.from_env({ENV_PREFIX + name.upper(): v for name, v in given.items()})
    assert settings.agents == ("a.b", "c")
    for name in given.keys() - {"agents"}:
        assert str(getattr(settings, name)).removesuffix(".0") == given[name], name


def test_the_environment_is_read_when_asked_and_not_at_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYAGENT_ORCH_NAMESPACE", "late")
    assert Orchestrator().settings.namespace == "late"
    monkeypatch.setenv("PYAGENT_ORCH_NAMESPACE", "later")
    assert Orchestrator().settings.namespace == "later"


def test_an_argument_wins_over_settings_and_those_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYAGENT_ORCH_NAMESPACE", "environment")
    monkeypatch.setenv("PYAGENT_ORCH_QUEUE", "environment")
    settings = Settings(namespace="settings", concurrency=3)
    orch = Orchestrator(settings=settings, namespace="argument")
    assert orch.settings.namespace == "argument"
    assert orch.settings.concurrency == 3
    assert orch.settings.queue == "agents"
    assert settings.namespace == "settings"
    assert Orchestrator(namespace="argument").settings.queue == "environment"


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = Settings.from_env({"PYAGENT_ORCH_REDIS_URL": "", "PYAGENT_ORCH_QUEUE": "  "})
    assert (settings.redis_url, settings.queue) == (None, "agents")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NAMESPACE", "a b"),
        ("NAMESPACE", "a:b"),
        ("NAMESPACE", "x" * 65),
        ("QUEUE", "a:b"),
        ("RECORD_TTL_SECONDS", "0"),
        ("RECORD_TTL_SECONDS", "a week"),
        ("LEASE_SECONDS", "0"),
        ("LEASE_SECONDS", "nan"),
        ("LEASE_SECONDS", "inf"),
        ("HEARTBEAT_SECONDS", "-1"),
        ("HEARTBEAT_SECONDS", "inf"),
        ("CONCURRENCY", "0"),
        ("CONNECT_TIMEOUT_SECONDS", "0"),
        ("SOCKET_TIMEOUT_SECONDS", "inf"),
        ("SIGNALS", "some"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({ENV_PREFIX + name: value})
    assert str(caught.value).startswith(f"PYAGENT_ORCH_{name} ({name.lower()}): ")


def test_a_lease_shorter_than_two_heartbeats_is_refused() -> None:
    # Else living workers are taken for dead.
    with pytest.raises(ConfigurationError, match="lease"):
        Settings.from_env({}, lease_seconds=1.0, heartbeat_seconds=2.0)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="redis_ulr"):
        Settings.from_env({}, redis_ulr="redis://localhost")


def test_no_error_and_no_repr_shows_the_url() -> None:
    url = f"redis://:{SECRET}@localhost"
    assert SECRET not in repr(Settings(redis_url=url))
    assert SECRET not in str(Settings(redis_url=url))
    with pytest.raises(ConfigurationError) as ours:
        Settings.from_env({}, redis_url=[url])
    with pytest.raises(ValidationError) as pydantics:
        Settings(redis_url=[url])  # type: ignore[arg-type]
    for error in (ours.value, pydantics.value):
        assert SECRET not in str(error)
        assert SECRET not in repr(error)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().namespace = "other"  # type: ignore[misc]


def test_importing_the_package_reads_no_environment_and_no_heavy_library() -> None:
    program = (
        "import os, sys\n"
        "class Watched(dict):\n"
        "    def get(self, name, default=None):\n"
        "        assert not str(name).startswith('PYAGENT_ORCH'), name\n"
        "        return dict.get(self, name, default)\n"
        "    __getitem__ = get\n"
        "os.environ = Watched(os.environ)\n"
        "from pyagent_orch import Orchestrator, Task, agent\n"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'rich', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
