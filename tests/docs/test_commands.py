"""The commands in the documentation work: each page in a home of its own, with the starter model on disk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, Block, blocks_of, with_ports
from tests.docs.page_stages import STAGES, Stage
from tests.docs.shells import Shell
from tests.real_models import copy_into
from tests.running import CHAT_MODEL_ID, eventually, running

BLOCK_TIMEOUT_S = 200  # `bench` takes a minute
ENDLESS_TIMEOUT_S = 30
TRIED = [page for page in PAGES if blocks_of(page)]
# An HTTP error fails the block, and the next blocks get what this one exports. The service has a name of its own
# in the network of a page about Kubernetes.
_BEFORE = """curl() {
  command curl --silent --show-error --fail-with-body --connect-to foundrylocal::127.0.0.1: "$@"
}
[ ! -f "$EXPORTS" ] || . "$EXPORTS"
"""
_SERVE = "foundrylocal serve"
_AFTER = """
export -p > "$EXPORTS"
"""
_NUMBER = re.compile(r"[\d.,]+")
PROGRAMS = {"python": sys.executable, "javascript": "node"}
SUFFIXES = {"python": "py", "javascript": "mjs"}


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A port for each name; all are open at once, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


class Reader:
    """Somebody who follows a page: types its blocks in order, in one folder with one environment."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        ports: dict[str, int],
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.environment = environment
        self.ports = ports
        self._replaced = replaced or {}
        self._shown = ""

    def script_of(self, block: Block) -> str:
        """The block as a script of bash, with what differs on the test's machine."""
        text = with_ports(block.text, self.ports)
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        language = block.mark.partition(" ")[0]
        if language not in PROGRAMS:
            return text
        name = block.file_name or f"block.{SUFFIXES[language]}"
        (self.folder / name).write_text(text, "utf-8")
        return f"{PROGRAMS[language]} {name}"

    def run(self, block: Block) -> None:
        """Run a block to its end, which has to be a success; or look whether what it shows was shown before."""
        if block.runner == "shown":
            self._check_shown(block)
            return
        text = self.script_of(block)
        if text.startswith("node ") and shutil.which("node") is None:
            return
        done = subprocess.run(
            self._bash(_BEFORE + text + _AFTER),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
        )
        assert done.returncode == 0, (
            f"line {block.line}: {text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        self._shown = done.stdout + done.stderr

    def run_endless(self, block: Block) -> None:
        """Run a block that does not end, until it has shown something."""
        text, output = self.script_of(block), self.folder / "endless.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                self._bash(_BEFORE + text),
                env=self.environment | {"PYTHONUNBUFFERED": "1"},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            try:
                eventually(
                    "what it shows",
                    lambda: output.stat().st_size or process.poll() is not None,
                    ENDLESS_TIMEOUT_S,
                )
                assert process.poll() is None, f"line {block.line}: {text}\n{output.read_text('utf-8')}"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(BLOCK_TIMEOUT_S)

    def chat(self, block: Block) -> None:
        """Run a block at a terminal, ask it a question there and leave."""
        job = Shell(self.folder, self.environment, has_terminal=True).start(self.script_of(block))
        job.type("Hello!\n/bye\n")
        ended = job.wait()
        assert ended.exit_code == 0 and "tokens/s" in ended.shown, f"line {block.line}: {ended.shown}"

    def exported(self) -> dict[str, str]:
        """The settings of the service that the blocks so far have exported."""
        script = f'. "{self.environment["EXPORTS"]}" && env --null'
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=10)
        variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
        return {name: value for name, value in variables.items() if name.startswith("FOUNDRYLOCAL_")}

    def _check_shown(self, block: Block) -> None:
        shown = [plain(line) for line in self._shown.splitlines()]
        missing = [line for line in block.text.splitlines() if line != "..." and plain(line) not in shown]
        assert missing == [], f"line {block.line}: these lines are not shown, but:\n{self._shown}"

    def _bash(self, script: str) -> list[str]:
        return ["bash", "-eu", "-o", "pipefail", "-c", script]


def end_service(environment: Mapping[str, str]) -> None:
    """End the service of the environment's home, if one runs."""
    command = [sys.executable, "-m", "foundrylocal", "shutdown"]
    subprocess.run(command, env=environment, capture_output=True, timeout=BLOCK_TIMEOUT_S, check=False)


def plain(line: str) -> str:
    """A line without what differs from run to run: its numbers and the widths of its columns."""
    return " ".join(_NUMBER.sub("0", line).split())


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    copy_into(home / "cache", CHAT_MODEL_ID)
    ports = free_ports(("9500", "1234", "11434"))
    with contextlib.ExitStack() as stack:
        stage = Stage(
            home, tmp_path, stack, {"FOUNDRYLOCAL_PORT": str(ports["1234"]), "FOUNDRYLOCAL_THREADS": "1"}
        )
        if page.name in STAGES:
            STAGES[page.name](stage)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"},
            **stage.settings,
            "HOME": str(tmp_path),
            "USER": "me",
            "PATH": os.pathsep.join([str(stage.tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "FOUNDRYLOCAL_HOME": str(home),
            "FOUNDRYLOCAL_API_PORT": str(ports["9500"]),
            "EXPORTS": str(tmp_path / "exports"),
        }
        # A page that fails half-way must not leave a service that it has put into the background.
        stack.callback(end_service, environment)
        reader = Reader(tmp_path, environment, ports, stage.replaced)
        for block in blocks_of(page):
            if block.runner == "service":
                assert block.text.endswith(_SERVE), f"line {block.line}: the service comes last"
                reader.run(Block("bash tested", block.line, block.text.removesuffix(_SERVE)))
                settings = stage.settings | {"HOME": str(tmp_path)} | reader.exported()
                ports["9500"] = stack.enter_context(running(home, **settings)).port
            elif block.runner == "endless":
                reader.run_endless(block)
            elif block.runner == "chat":
                reader.chat(block)
            else:
                reader.run(block)


def test_the_pages_with_most_commands_are_tried() -> None:
    assert {
        "README.md",
        "first-chat.md",
        "from-ollama.md",
        "from-lm-studio.md",
        "network.md",
        "presets.md",
    } <= {page.name for page in TRIED}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path, {**os.environ, "EXPORTS": str(tmp_path / "exports")}, free_ports(("9500",)))


@pytest.mark.parametrize("text", ["false", "curl http://127.0.0.1:9500/nothing", "false | true"])
def test_a_command_that_fails_fails_its_page(text: str, reader: Reader) -> None:
    with pytest.raises(AssertionError, match="line 7"):
        reader.run(Block("bash tested", 7, text))


def test_a_block_gets_what_an_earlier_one_exports(reader: Reader) -> None:
    for text in ("export WORD=known", '[ "$WORD" = known ]'):
        reader.run(Block("bash tested", 1, text))


def test_what_is_shown_has_to_be_shown(reader: Reader) -> None:
    reader.run(Block("bash tested", 1, "echo 'NAME   SIZE'; echo 'a   92.4 MB'"))
    reader.run(Block("text shown", 2, "NAME  SIZE\na     1.0 MB"))
    with pytest.raises(AssertionError, match="line 3"):
        reader.run(Block("text shown", 3, "NAME  SIZE\na     1.0 GB"))


@pytest.mark.parametrize("text", ["true", "false"])
def test_a_command_that_ends_is_not_endless(text: str, reader: Reader) -> None:
    with pytest.raises(AssertionError, match="line 7"):
        reader.run_endless(Block("bash endless", 7, text))
    reader.run_endless(Block("bash endless", 8, "echo ready; sleep 100"))
