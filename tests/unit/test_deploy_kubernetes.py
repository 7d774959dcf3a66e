"""The Kubernetes manifests: published schemas, and what a schema cannot know."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pyagent_orch.config import Settings
from support.compose import env_file
from support.fleet import ROOT
from support.manifests import containers, kustomizations, manifests, of_kind, workloads

BASE = ROOT / "deploy" / "kubernetes" / "base"
OF_KEDA = {"ScaledObject", "TriggerAuthentication"}
PRIVATE = ("_URL", "_PASSWORD", "_KEY", "_TOKEN")
VERSIONS = ("1.30", "1.34")
"""Of Kubernetes: an old one that is still met, and a new one."""


def check(document: dict[str, Any]) -> None:
    """Compare a document with the schema of its kind; unknown fields are errors."""
    if document["kind"] in OF_KEDA:
        from cloudcoil.models.keda import v1alpha1

        kind = getattr(v1alpha1, document["kind"])
        loaded = kind.model_validate(document).model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
        # The models pass over fields that they do not know.
        assert loaded == document
        return
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(
    "place",
    range(len(manifests())),
    ids=[f"{file.stem}-{one['kind']}" for file, one in manifests()],
)
def test_a_manifest_fits_its_published_schema(place: int) -> None:
    document = manifests()[place][1]
    check(document)
    wrong = copy.deepcopy(document)
    # What is misspelt at the top or in the spec is seen.
    wrong.get("spec", wrong)["replicaz"] = 2
    with pytest.raises((AssertionError, ValueError, kubernetes_validate.ValidationError)):
        check(wrong)


def test_what_kustomize_makes_of_it_fits_too() -> None:
    """Where there is a kubectl, it renders all that can be applied."""
    kubectl = shutil.which("kubectl")
    for file, content in kustomizations().items():
        if content["kind"] != "Kustomization" or kubectl is None:
            continue
        done = subprocess.run(
            [kubectl, "kustomize", str(file.parent)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rendered = list(yaml.safe_load_all(done.stdout))
        assert rendered
        for document in rendered:
            check(document)


def test_every_file_is_part_of_a_kustomization_and_every_part_is_there() -> None:
    used: set[Path] = set()
    for file, content in kustomizations().items():
        for part in [*content.get("resources", ()), *content.get("components", ())]:
            path = (file.parent / part).resolve()
            assert path.is_file() or (path / "kustomization.yaml").is_file(), f"{file}: {part}"
            used.add(path)
        for generator in content.get("configMapGenerator", ()):
            for source in [*generator.get("files", ()), *generator.get("envs", ())]:
                assert (file.parent / source).is_file(), f"{file}: {source}"
    assert {file for file, _ in manifests()} <= used


# --- what a schema cannot know --------------------------------------------------------------


def labels_of(name: str) -> dict[str, str]:
    labels: dict[str, str] = workloads()[name]["spec"]["template"]["metadata"]["labels"]
    # Given by the base to all that is in it.
    return labels | ({"app.kubernetes.io/part-of": "pyagent-orch"} if name != "redis" else {})


def selected(selector: dict[str, str]) -> list[str]:
    return [name for name in workloads() if selector.items() <= labels_of(name).items()]


def test_selectors_find_what_they_are_for() -> None:
    for name, workload in workloads().items():
        assert selected(workload["spec"]["selector"]["matchLabels"]) == [name]
    for service in of_kind("Service"):
        [name] = selected(service["spec"]["selector"])
        assert name == service["metadata"]["name"]
        [container] = [one for owner, one in containers() if owner == name]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for budget in of_kind("PodDisruptionBudget"):
        assert selected(budget["spec"]["selector"]["matchLabels"]) == [budget["metadata"]["name"]]
    for policy in of_kind("NetworkPolicy"):
        assert selected(policy["spec"]["podSelector"]["matchLabels"])


def strings(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    else:
        yield str(value)


def test_every_pod_is_confined() -> None:
    for name, workload in workloads().items():
        pod = workload["spec"]["template"]["spec"]
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert {"livenessProbe", "readinessProbe"} <= set(container), name


def test_secrets_come_by_reference_only() -> None:
    assert not of_kind("Secret")
    for name, container in containers():
        for variable in container.get("env", ()):
            if variable["name"].endswith(PRIVATE):
                assert "value" not in variable, name
                assert variable["valueFrom"]["secretKeyRef"]["name"] == "pyagent-orch"
    assert not any(name.endswith(PRIVATE) for name in settings())
    for _, document in manifests():
        assert not any("://" in text and "@" in text for text in strings(document))


def settings() -> dict[str, str]:
    return env_file(BASE / "settings.env")


def test_the_settings_exist() -> None:
    known = {f"PYAGENT_ORCH_{name.upper()}" for name in Settings.model_fields}
    assert set(settings()) <= known
    assert Settings.from_env(settings()).namespace == "default"


def test_a_pod_is_not_killed_while_its_agents_may_still_end() -> None:
    pod = workloads()["worker"]["spec"]["template"]["spec"]
    drain = Settings.from_env(settings()).stop_timeout_seconds
    assert pod["terminationGracePeriodSeconds"] == drain + 30
    # SIGTERM itself is the drain; a hook would take from its time.
    assert all("lifecycle" not in one for one in pod["containers"])


def test_a_redis_that_is_away_restarts_no_worker_and_no_beat() -> None:
    for name, container in containers():
        if name in {"worker", "beat"}:
            for probe, extra in (("livenessProbe", ["--liveness"]), ("readinessProbe", [])):
                words = ["pyagent-orch", "health", name, *extra]
                assert container[probe]["exec"]["command"] == words


def test_nobody_reaches_redis_but_who_has_to() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies["pyagent-orch"]["ingress"] == []
    assert set(policies["pyagent-orch"]["policyTypes"]) == {"Ingress", "Egress"}
    [rule] = policies["redis"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [6379]
    assert len(rule["from"]) == 3
    assert policies["redis"]["egress"] == []
    for service in of_kind("Service"):
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_two_beats_and_never_no_worker() -> None:
    assert workloads()["beat"]["spec"]["replicas"] == 2
    [scaled] = of_kind("ScaledObject")
    # Without a worker nobody queues what is due, or heals what is lost.
    assert scaled["spec"]["minReplicaCount"] >= 1
    # An apply must not set back what the autoscaler has set.
    patches = [one for content in kustomizations().values() for one in content.get("patches", ())]
    assert any(
        json.dumps(yaml.safe_load(one["patch"])) == '[{"op": "remove", "path": "/spec/replicas"}]'
        for one in patches
    )
