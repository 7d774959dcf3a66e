"""Celery's own `flower` command is warned of when it would let everybody in."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from workers.flower import warn_if_open

START = "-A workers.celery_app flower"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder without a flowerconfig.py."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (START, "every address"),
        (f"{START} --port=5555", "every address"),
        (f"{START} --address=0.0.0.0", "0.0.0.0"),
        (f"{START} --address=::", "::"),
        (f"{START} --basic_auth=", "every address"),
        (f"{START} --conf=nowhere.py", "every address"),
    ],
)
def test_flower_without_a_login_is_warned_of(
    words: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(words.split(), {"FLOWER_PORT": "5555"})
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    for part in (where, "no password", "FLOWER_BASIC_AUTH=user:password", "pyagent-orch flower"):
        assert part in record.getMessage()


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        ("-A workers.celery_app worker", {}),
        ("-A workers.celery_app beat --address=0.0.0.0", {}),
        (f"{START} --basic_auth=a:b", {}),
        (f"{START} --basic-auth=a:b", {}),
        (f"{START} --auth=.*@example.org", {}),
        (START, {"FLOWER_BASIC_AUTH": "a:b"}),
        (START, {"FLOWER_AUTH": ".*@example.org"}),
        (START, {"FLOWER_ADDRESS": "127.0.0.1"}),
        (f"{START} --address=::1", {}),
        (f"{START} --address=localhost", {}),
        (f"{START} --unix_socket=/run/flower.sock", {}),
    ],
)
def test_flower_with_a_login_or_for_this_machine_is_not(
    words: str, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(words.split(), environ)
    assert not caplog.records


def test_a_login_in_flowers_own_configuration_counts(
    elsewhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (elsewhere / "flowerconfig.py").write_text("port = 5555\nbasic_auth = ['a:b']\n")
    (elsewhere / "open.py").write_text("port = 5555\n# basic_auth = ['a:b']\n")
    warn_if_open(START.split(), {})
    assert not caplog.records
    warn_if_open([*START.split(), "--conf=open.py"], {})
    assert len(caplog.records) == 1
