"""What `docs/patterns.md` and the examples of patterns and streams show works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent_orch import default_orchestrator
from support.chat_server import Behaviour, ChatRequest, ChatServer, answer, tool_call

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


def reply(request: ChatRequest) -> Behaviour:
    """Whatever the structured answer is that an example's agent is asked for."""
    tools = request.body.get("tools") or []
    fields = tools[0]["function"]["parameters"]["properties"] if tools else {}
    filled = {
        "vote": "approve", "reasoning": "Said the server.", "winner": "con", "confidence": 0.9,
        "assignments": [{"agent": "editor", "request": "Edit."}], "final": "Said the server.",
    }  # fmt: skip
    if not fields:
        return answer("Said the server.")
    return tool_call("final_result", **{name: filled[name] for name in fields if name in filled})


def test_the_examples_ask_a_real_model_when_one_variable_names_it(tmp_path: Path) -> None:
    # Two of them: each imports the providers' library, which takes seconds.
    patterns = [ROOT / f"examples/patterns_{name}.py" for name in ("consensus", "supervisor")]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    with ChatServer(reply) as server:
        # The key and the address are the provider's own, as users have them already.
        provider = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-key"}
        env = (
            clean | provider | {"PYTHONPATH": str(ROOT), "PYAGENT_ORCH_MODEL": "openai:gpt-4o-mini"}
        )
        running = [
            subprocess.Popen(
                [sys.executable, str(one)], cwd=tmp_path, text=True, env=env,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for one in patterns
        ]  # fmt: skip
        for one in running:
            try:
                printed, errors = one.communicate(timeout=120)
            finally:
                one.kill()
            assert one.returncode == 0, errors
            assert "Said the server." in printed
            assert "offline model" not in printed
            # Its price is in the library's list: less than a cent, and told.
            assert "$0.0" in printed


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
