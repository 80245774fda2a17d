"""The commands in the documentation work: each page in a home of its own, with the starter model on disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of, with_ports
from tests.docs.page_models import MODELS_OF_PAGES
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
_SERVE = "foundrylocal serve"
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
    elif block.mark == "javascript tested":
        if shutil.which("node") is None:
            return
        (folder / "block.mjs").write_text(text, "utf-8")
        text = f"node {folder / 'block.mjs'}"
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


def exported_settings(exports: Path) -> dict[str, str]:
    """The variables of the service that the blocks so far have exported."""
    script = f'. "{exports}" && env --null'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=10)
    variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    return {name: value for name, value in variables.items() if name.startswith("FOUNDRYLOCAL_")}


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    copy_into(home / "cache", CHAT_MODEL_ID)
    if page.name in MODELS_OF_PAGES:
        MODELS_OF_PAGES[page.name](home, tmp_path)
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
                assert block.text.endswith(_SERVE), f"line {block.line}: the service comes last"
                before = Block("bash tested", block.line, block.text.removesuffix(_SERVE))
                run_block(before, tmp_path, environment, ports)
                exported = exported_settings(tmp_path / "exports")
                ports["9500"] = stack.enter_context(running(home, **settings | exported)).port
            else:
                run_block(block, tmp_path, environment, ports)


def test_the_pages_with_most_commands_are_tried() -> None:
    assert {
        "README.md",
        "first-chat.md",
        "from-ollama.md",
        "from-lm-studio.md",
        "network.md",
        "presets.md",
    } <= {page.name for page in PAGES}


@pytest.mark.parametrize("text", ["false", "curl http://127.0.0.1:9500/nothing", "false | true"])
def test_a_command_that_fails_fails_its_page(text: str, tmp_path: Path) -> None:
    environment = {**os.environ, "EXPORTS": str(tmp_path / "exports")}
    with pytest.raises(AssertionError, match="line 7"):
        run_block(Block("bash tested", 7, text), tmp_path, environment, free_ports(("9500",)))


def test_a_block_gets_what_an_earlier_one_exports(tmp_path: Path) -> None:
    environment = {**os.environ, "EXPORTS": str(tmp_path / "exports")}
    for text in ("export WORD=known", '[ "$WORD" = known ]'):
        run_block(Block("bash tested", 1, text), tmp_path, environment, {})
