"""`make package`: the commands of the pages that install, upgrade and uninstall, with uv, pipx and pip.

Each tool follows the pages in a clone of this repository, with a home of its own; `make run` is tried too. Tools and
dependencies come from the package index, so this runs only when it is asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundrylocal import __version__
from tests.docs.blocks import Block, marked
from tests.docs.test_commands import free_ports
from tests.package.test_contents import build
from tests.real_models import copy_into
from tests.running import CHAT_MODEL_ID, REPOSITORY

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FOUNDRYLOCAL_TEST_INSTALL"), reason="`make package` runs it"),
    pytest.mark.timeout(1800),
]
COMMAND_TIMEOUT_S = 900
INSTALL = REPOSITORY / "docs" / "how-to" / "install.md"
CACHES = {(".cache", "uv"), (".cache", "pip")}  # of the tools, with built wheels
TOOLS = ("uv", "pipx", "pip")
BLOCKS = {page: blocks for page, blocks in marked("package").items()}
EXTRAS = [
    line
    for blocks in BLOCKS.values()
    for block in blocks
    for line in block.text.splitlines()
    if line.startswith("pip install 'foundrylocal[")
]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with an empty home, a clone and the tools; `pip` is that of a virtual environment."""

    home: Path
    clone: Path
    environment: dict[str, str]

    def run(self, command: str, **settings: str) -> str:
        """One command line in the clone, which has to succeed; what it printed."""
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.clone,
            env=self.environment | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with uv and pipx."""
    folder = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=COMMAND_TIMEOUT_S)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv", "pipx"]
    subprocess.run(pip, check=True, timeout=COMMAND_TIMEOUT_S)
    return folder / "bin"


@pytest.fixture
def user(tmp_path: Path, tools: Path) -> Iterator[User]:
    home, clone, own = tmp_path / "home", tmp_path / "foundrylocal", tmp_path / "venv"
    home.mkdir()
    copy_into(home / ".cache" / "foundrylocal", CHAT_MODEL_ID)
    # From a copy, which nobody changes meanwhile.
    for source, target, kind in (
        (REPOSITORY, tmp_path / "upstream", "--bare"),
        (tmp_path / "upstream", clone, "--local"),
    ):
        subprocess.run(["git", "clone", "--quiet", kind, str(source), str(target)], check=True, timeout=60)
    subprocess.run([sys.executable, "-m", "venv", str(own)], check=True, timeout=COMMAND_TIMEOUT_S)
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "LANG", "SSL_"))
    }
    path = [own / "bin", home / ".local" / "bin", tools]
    made = User(
        home,
        clone,
        {
            **index_settings(),
            **kept,
            "HOME": str(home),
            "PATH": os.pathsep.join([*map(str, path), os.defpath]),
            "VIRTUAL_ENV": str(own),
            "PIP_YES": "1",  # nobody is there to be asked
            "UV_PYTHON": sys.executable,
            "FOUNDRYLOCAL_API_PORT": str(free_ports(("9500",))["9500"]),
            "FOUNDRYLOCAL_PORT": "0",
        },
    )
    yield made
    subprocess.run(
        ["bash", "-c", "foundrylocal shutdown"], env=made.environment, check=False, capture_output=True
    )


def index_settings() -> dict[str, str]:
    """The package index of pip's configuration, for a user with another home, and for uv."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    index = done.stdout.strip()
    return {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if done.returncode == 0 and index else {}


def alternatives(line: str) -> list[str]:
    """The commands of a line: the one that is shown, and those after `or:` in its comment."""
    command, _, comment = line.partition("#")
    return [
        command.strip(),
        *(found.strip() for found in re.findall(r"or: ((?:[^o]|o(?!r:)){1,100})", comment)),
    ]


def line_of(block: Block, tool: str) -> list[str]:
    """What a user of the tool types of a block: of alternatives the tool's own."""
    typed = []
    for line in block.text.splitlines():
        found = alternatives(line)
        own = [one for one in found if one.split()[0] == tool]
        if own or found[0].split()[0] not in TOOLS:
            typed.append((own or found)[0])
    return typed


@pytest.mark.model
@pytest.mark.parametrize("tool", TOOLS)
def test_install_upgrade_and_uninstall_as_the_page_says(user: User, tool: str) -> None:
    install, upgrade, uninstall, remove = (line_of(block, tool) for block in BLOCKS[INSTALL])
    assert len(install) == 1 and len(upgrade) == 3 and len(uninstall) == 3, (install, upgrade, uninstall)
    for command in [*install, *upgrade]:
        shown = user.run(command)
    assert shown == f"foundrylocal {__version__}\n"
    user.run("foundrylocal serve --detach")
    for command in uninstall:
        user.run(command)
    assert not (user.home / ".local" / "bin" / "foundrylocal").exists()
    user.run("! command -v foundrylocal")
    user.run("mkdir -p ~/.config/foundrylocal")  # nothing was configured
    for command in remove:
        user.run(command)
    left = [path.relative_to(user.home) for path in user.home.rglob("foundrylocal")]
    assert [path for path in left if path.parts[:2] not in CACHES] == []


def test_every_page_installs_as_the_page_about_it_says() -> None:
    wanted = {tool: line_of(BLOCKS[INSTALL][0], tool) for tool in TOOLS}
    for page, blocks in BLOCKS.items():
        for block in blocks:
            if block.first_line.startswith("uv tool install ."):
                assert {tool: line_of(block, tool) for tool in TOOLS} == wanted, page.name


@pytest.mark.model
def test_make_run_answers_in_a_new_clone(user: User) -> None:
    (block,) = (one for one in BLOCKS[REPOSITORY / "README.md"] if one.first_line.startswith("make"))
    assert block.first_line.split()[:2] == ["make", "run"]
    assert "tokens/s" in user.run("make run ARGS=--once 2>&1", PYTHON=sys.executable)


@pytest.mark.parametrize("command", EXTRAS)
def test_an_extra_is_installed_by_the_name_of_the_package(user: User, tmp_path: Path, command: str) -> None:
    build(tmp_path / "dist", "wheel")
    user.run(command, PIP_FIND_LINKS=str(tmp_path / "dist"))
    assert user.run("foundrylocal --version") == f"foundrylocal {__version__}\n"
