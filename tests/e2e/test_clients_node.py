"""The real Node client of OpenAI against the real model; skipped where there is no Node or no registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process.gateway.raw import busy_slots
from tests.running import CHAT_MODEL, REPOSITORY, TEST_MODELS, Service, eventually

pytestmark = pytest.mark.model
PROGRAM = REPOSITORY / "tests" / "e2e" / "client.mjs"
INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 100


@pytest.fixture(scope="module")
def node_folder() -> Path:
    """A folder with the `openai` package, fetched once and kept between runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    folder = TEST_MODELS / "node"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "openai" / "package.json").exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        asked = [npm, "install", "--no-audit", "--no-fund", "--silent", "openai"]
        done = subprocess.run(asked, cwd=folder, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm could not install openai: {done.stderr.strip()[:200]}")
    return folder


def test_openai_for_node(real_service: Service, node_folder: Path) -> None:
    started = real_service.start()
    program = node_folder / PROGRAM.name  # beside node_modules, where imports are looked for
    shutil.copy(PROGRAM, program)
    done = subprocess.run(
        ["node", str(program), started["endpoint"], started["api_key"], CHAT_MODEL],
        timeout=RUN_TIMEOUT_S,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["whole"] and seen["streamed"] == seen["whole"]
    assert seen["cancelled"] == "chat.completion.chunk"
    assert seen["json"].keys() == {"city", "size"}
    assert seen["invalid"] == {
        "name": "BadRequestError",
        "status": 400,
        "code": "invalid_request",
        "param": "temperature",
    }
    assert (seen["unknown"]["name"], seen["unknown"]["code"]) == ("NotFoundError", "model_not_found")
    assert seen["refused"]["name"] == "AuthenticationError"
    eventually("no slot is held", lambda: busy_slots(real_service) == 0, 10.0)
