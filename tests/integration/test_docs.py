"""What the docs say runs: the Python blocks of each page, in order, in one process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent_orch import Settings
from support.fleet import ROOT

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# It quotes a part of an example, and has tests of its own in test_idempotency.py.
QUOTING = {"idempotency.md"}
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]
    if page.name not in QUOTING and BLOCK.search(page.read_text())
)
# The README's blocks stand for programs of their own, with agents that the reader has.
WITH_GIVEN_NAMES = {"README.md": 'analyst = agent("You analyse")\nwriter = agent("You write")\n'}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_as_they_stand(page: Path, tmp_path: Path) -> None:
    given = WITH_GIVEN_NAMES.get(page.name, "")
    blocks = BLOCK.findall(page.read_text())
    # After the imports of the first block.
    program = "\n".join([blocks[0], given, *blocks[1:]])
    file = tmp_path / "page.py"
    file.write_text(program)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{done.stdout[-1000:]}"


def test_every_setting_is_on_its_page() -> None:
    page = (DOCS / "settings.md").read_text()
    missing = [name for name in Settings.model_fields if f"| `{name}` |" not in page]
    assert missing == []


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
