"""What `docs/patterns.md` and the examples of patterns and streams show works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent_orch import default_orchestrator

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/patterns.md").read_text(), re.DOTALL)
EXAMPLES = [*sorted((ROOT / "examples").glob("patterns_*.py")), ROOT / "examples/streaming.py"]


def test_the_page_and_the_examples_are_there() -> None:
    assert len(BLOCKS) >= 4
    assert len(EXAMPLES) == 5


def test_every_block_of_the_page_runs() -> None:
    try:
        for number, block in enumerate(BLOCKS, 1):
            exec(compile(block, f"docs/patterns.md, block {number}", "exec"), {})
    finally:
        default_orchestrator().close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_offline(example: Path, tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    done = subprocess.run(
        [sys.executable, str(example), "Shall we?"], cwd=tmp_path, capture_output=True, text=True,
        timeout=60, env=clean | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "offline model" in done.stdout
    assert "Traceback" not in done.stderr
