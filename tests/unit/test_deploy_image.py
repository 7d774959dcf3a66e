"""The image and docker-compose.yml: what linters and schemas say, and what they cannot know."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch.config import Settings
from support.compose import DOCKERFILE, FILE, env_file, load
from support.fleet import ROOT

EXAMPLE = ROOT / ".env.example"
SECRETS = {name for name in env_file(EXAMPLE) if name.endswith(("_PASSWORD", "_KEY", "_TOKEN"))}


def tool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=60, check=False
    )


def lint_image(path: Path) -> subprocess.CompletedProcess[str]:
    return tool(Path(sys.executable).with_name("hadolint"), "--no-color", path)


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    return tool(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path
    )


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    filled = env_file(EXAMPLE) | dict.fromkeys(SECRETS, "x")
    found: dict[str, dict[str, Any]] = load(filled)["services"]
    return found


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and arguments."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


# --- the image ------------------------------------------------------------------------------


def test_the_linter_of_dockerfiles_has_nothing_to_say(tmp_path: Path) -> None:
    done = lint_image(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")
    careless = tmp_path / "Dockerfile"
    careless.write_text("FROM python\nRUN cd /tmp && sudo pip install flask\n")
    assert "DL3006" in lint_image(careless).stdout


def test_the_image_is_made_in_stages_and_runs_without_rights() -> None:
    found = instructions(DOCKERFILE.read_text())
    starts = [place for place, (word, _) in enumerate(found) if word == "FROM"]
    assert len(starts) == 2
    last = found[starts[-1] :]
    # Nothing but what was installed comes into it, no tool is left in it, and no secret ever.
    assert [rest for word, rest in last if word == "COPY"] == ["--from=build /opt/venv /opt/venv"]
    [user] = [rest for word, rest in last if word == "USER"]
    assert int(user.partition(":")[0]) > 1000
    assert not re.search(r"(?i)password|secret|token|api_key", DOCKERFILE.read_text())


def test_what_the_image_installs_is_there_to_be_installed() -> None:
    [extras] = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(known["optional-dependencies"])
    # A fleet has its Redis elsewhere.
    assert "embedded" not in extras
    [version] = re.findall(r"^ARG PYTHON_VERSION=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert f"Programming Language :: Python :: {version}" in known["classifiers"]


def is_sent(path: str, rules: Sequence[str]) -> bool:
    """Whether a file of the root gets into the context of a build: the last rule that fits wins."""
    sent = True
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        inside = path.startswith(pattern + "/")
        if fnmatch.fnmatch(path, pattern) or inside or fnmatch.fnmatch(Path(path).name, pattern):
            sent = rule.startswith("!")
    return sent


def test_the_build_gets_what_it_copies_and_no_secret() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = [
        source
        for word, rest in instructions(DOCKERFILE.read_text())
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert "pyproject.toml" in copied
    for source in copied:
        assert (ROOT / source).exists()
        assert is_sent(source, rules), source
    for private in (".env", ".git", "tests", "pyagent_orch/__pycache__", "docker-compose.yml"):
        assert not is_sent(private, rules), private
    assert tool("git", "-C", ROOT, "check-ignore", "-q", ".env").returncode == 0


# --- docker-compose.yml ---------------------------------------------------------------------


def test_the_compose_file_fits_its_published_schema(tmp_path: Path) -> None:
    done = check_schema(FILE)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(FILE.read_text().replace("mem_limit:", "mem_limitation:"))
    assert check_schema(wrong).returncode == 1


def test_every_variable_of_the_compose_file_is_explained_and_no_secret_has_a_value() -> None:
    wanted = set(re.findall(r"(?<!\$)\$\{(\w+)", FILE.read_text()))
    # Which images is for those who build or mirror their own; profiles are Compose's own.
    assert wanted - {"IMAGE", "REDIS_IMAGE"} == set(env_file(EXAMPLE)) - {"COMPOSE_PROFILES"}
    services = load(env_file(EXAMPLE) | dict.fromkeys(SECRETS, "x"))["services"].values()
    profiles = {one for service in services for one in service.get("profiles", ())}
    assert profiles == set(env_file(EXAMPLE)["COMPOSE_PROFILES"].split(","))
    assert {name for name in SECRETS if env_file(EXAMPLE)[name]} == set()
    required = set(re.findall(r"(?<!\$)\$\{(\w+):\?", FILE.read_text()))
    assert required == {name for name in SECRETS if not name.endswith("_KEY")}
    for secret in required:
        filled = env_file(EXAMPLE) | dict.fromkeys(SECRETS - {secret}, "x")
        with pytest.raises(LookupError, match=f"{secret}.*env.example"):
            load(filled)


def test_the_settings_of_the_compose_file_exist(services: dict[str, dict[str, Any]]) -> None:
    known = {f"PYAGENT_ORCH_{name.upper()}" for name in Settings.model_fields}
    known |= {"PYAGENT_ORCH_FLOWER_PASSWORD", "PYAGENT_ORCH_DASHBOARD_TOKEN"}
    for service in services.values():
        ours = {name for name in service["environment"] if name.startswith("PYAGENT_ORCH_")}
        assert ours <= known


def test_every_service_is_confined_and_checked(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert int(service["healthcheck"]["timeout"].removesuffix("s")) <= int(
            service["healthcheck"]["interval"].removesuffix("s")
        ), name
        assert "build" in service or not service["user"].startswith("0"), name


def test_nobody_outside_reaches_redis_and_only_this_machine_the_pages(
    services: dict[str, dict[str, Any]],
) -> None:
    document = load(env_file(EXAMPLE) | dict.fromkeys(SECRETS, "x"))
    assert document["networks"]["data"]["internal"] is True
    assert services["redis"]["networks"] == ["data"]
    assert "ports" not in services["redis"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_a_container_is_not_killed_while_its_agents_may_still_end(
    services: dict[str, dict[str, Any]],
) -> None:
    worker = services["worker"]
    drain = float(worker["environment"]["PYAGENT_ORCH_STOP_TIMEOUT_SECONDS"])
    assert float(worker["stop_grace_period"].removesuffix("s")) >= drain + 10


def test_redis_keeps_everything_and_tells_nobody_its_password(
    services: dict[str, dict[str, Any]],
) -> None:
    lines = (ROOT / "deploy" / "redis" / "redis.conf").read_text().splitlines()
    rules = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert rules["appendonly"] == "yes"
    assert rules["maxmemory-policy"] == "noeviction"
    assert rules["protected-mode"] == "yes"
    assert "requirepass" not in rules
    password = "p4ssw0rd-of-this-test"
    filled = env_file(EXAMPLE) | dict.fromkeys(SECRETS, password)
    for name, service in load(filled)["services"].items():
        # By the environment, never by the list of processes.
        assert password not in json.dumps([service["command"], service["healthcheck"]]), name
