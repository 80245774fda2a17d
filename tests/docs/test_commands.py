"""The commands in the documentation work: each page in a home of its own, with the starter model on disk."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of, exports_of_service, with_ports
from tests.real_models import copy_into
from tests.running import CHAT_MODEL_ID, REPOSITORY, running

BLOCK_TIMEOUT_S = 100
PAGES = [
    page
    for page in sorted([*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "README.md"])
    if blocks_of(page)
]
# An HTTP error fails the block, and the next blocks get what this one exports.
_BEFORE = """curl() { command curl --silent --show-error --fail-with-body "$@"; }
[ ! -f "$EXPORTS" ] || . "$EXPORTS"
"""
_AFTER = """
export -p > "$EXPORTS"
"""


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A port for each name; all are open at once, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


def run_block(block: Block, folder: Path, environment: dict[str, str], ports: dict[str, int]) -> None:
    text = with_ports(block.text, ports)
    if block.mark == "python tested":
        (folder / "block.py").write_text(text, "utf-8")
        text = f"{sys.executable} {folder / 'block.py'}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", _BEFORE + text + _AFTER],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_TIMEOUT_S,
    )
    assert done.returncode == 0, f"line {block.line}: {text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    copy_into(home / "cache", CHAT_MODEL_ID)
    ports = free_ports(("9500", "1234", "11434"))
    settings = {"FOUNDRYLOCAL_PORT": str(ports["1234"]), "FOUNDRYLOCAL_THREADS": "1"}
    environment = {
        **os.environ,
        **settings,
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "FOUNDRYLOCAL_HOME": str(home),
        "FOUNDRYLOCAL_API_PORT": str(ports["9500"]),
        "EXPORTS": str(tmp_path / "exports"),
    }
    with contextlib.ExitStack() as stack:
        for block in blocks_of(page):
            if block.mark == "bash service":
                exported = {
                    name: with_ports(f"={value}", ports)[1:]
                    for name, value in exports_of_service(block).items()
                }
                ports["9500"] = stack.enter_context(running(home, **settings | exported)).port
                environment |= exported
            else:
                run_block(block, tmp_path, environment, ports)


def test_the_tutorial_and_the_readme_are_tried() -> None:
    assert {"first-chat.md", "from-ollama.md", "from-lm-studio.md", "README.md"} <= {
        page.name for page in PAGES
    }


@pytest.mark.parametrize("text", ["false", "curl http://127.0.0.1:9500/nothing", "false | true"])
def test_a_command_that_fails_fails_its_page(text: str, tmp_path: Path) -> None:
    environment = {**os.environ, "EXPORTS": str(tmp_path / "exports")}
    with pytest.raises(AssertionError, match="line 7"):
        run_block(Block("bash tested", 7, text), tmp_path, environment, free_ports(("9500",)))


def test_a_block_gets_what_an_earlier_one_exports(tmp_path: Path) -> None:
    environment = {**os.environ, "EXPORTS": str(tmp_path / "exports")}
    for text in ("export WORD=known", '[ "$WORD" = known ]'):
        run_block(Block("bash tested", 1, text), tmp_path, environment, {})
