"""The Kubernetes manifests as tests read them: each document with the file that it is in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.fleet import ROOT

FOLDERS = (ROOT / "deploy" / "kubernetes", ROOT / "deploy" / "redis")
Document = dict[str, Any]


@cache
def manifests() -> tuple[tuple[Path, Document], ...]:
    """Every document but the kustomizations."""
    files = sorted(file for folder in FOLDERS for file in folder.rglob("*.yaml"))
    return tuple(
        (file, document)
        for file in files
        if file.name != "kustomization.yaml"
        for document in yaml.safe_load_all(file.read_text())
    )


def of_kind(*kinds: str) -> list[Document]:
    """The documents of some kinds."""
    return [document for _, document in manifests() if document["kind"] in kinds]


def kustomizations() -> dict[Path, Document]:
    """Maps each kustomization's file to it."""
    files = (file for folder in FOLDERS for file in folder.rglob("kustomization.yaml"))
    return {file: yaml.safe_load(file.read_text()) for file in files}


def workloads() -> dict[str, Document]:
    """Maps names to Deployments and StatefulSets."""
    return {one["metadata"]["name"]: one for one in of_kind("Deployment", "StatefulSet")}


def containers() -> Iterator[tuple[str, Document]]:
    """Each container, with its workload's name."""
    for name, workload in workloads().items():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            yield name, container
