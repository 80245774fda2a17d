"""The commands of docs/how-to/containers.md, with an engine that runs the service as a process.

Not shown here: that an image is built, and what a container keeps apart. tests/package tries the Containerfile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.test_commands import Reader, free_ports
from tests.fakes.container_engine import OPTIONS, engine_script
from tests.fakes.llama_server import make_llama_server
from tests.real_models import copy_into
from tests.running import CHAT_MODEL_ID, REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "containers.md"


@pytest.mark.model
@pytest.mark.timeout(300)
def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    folder, tools = tmp_path / "engine", tmp_path / "bin"
    copy_into(folder / "volumes" / "foundrylocal" / "cache", CHAT_MODEL_ID)
    make_llama_server(tmp_path / "llama", "gpu")
    tools.mkdir()
    (tools / "podman").write_text(engine_script(folder))
    (tools / "podman").chmod(0o755)
    shutil.copy(REPOSITORY / "Containerfile", tmp_path)
    ports = free_ports(("9500", "1234"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")},
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "FOUNDRYLOCAL_API_PORT": str(ports["9500"]),
        "FOUNDRYLOCAL_PORT": str(ports["1234"]),
        "FOUNDRYLOCAL_THREADS": "1",
        "EXPORTS": str(tmp_path / "exports"),
    }
    reader = Reader(tmp_path, environment, ports, {"/opt/llama": str(tmp_path / "llama")})
    blocks = blocks_of(PAGE, "tests/docs/test_container_commands.py")
    assert len(blocks) >= 4
    try:
        for block in blocks:
            reader.run(block)
        assert (tmp_path / "foundrylocal.tar").stat().st_size > 1_000_000
        assert list((folder / "volumes").iterdir()) == []
    finally:
        for container in (folder / "containers").iterdir():
            subprocess.run([tools / "podman", "rm", "--force", container.name], check=False, timeout=60)


@pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
@pytest.mark.parametrize("command", OPTIONS)
def test_podman_has_these_commands_and_options(command: str) -> None:
    done = subprocess.run(
        ["podman", *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert [option for option in OPTIONS[command] if f"{option} " not in done.stdout] == []
