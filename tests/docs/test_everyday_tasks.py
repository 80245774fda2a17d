"""The thirty everyday tasks, by their commands in the documentation: at a terminal of 80 columns, and without one.

The worker, the hub and the GPU's binary are fakes; the rest is the program. Commands that install or build something
are only looked at here: `make package` runs them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.everyday import MAX_COMMANDS, Task, read_tasks, write_model_file, write_ollama_store
from tests.docs.shells import COLUMNS, Shell
from tests.docs.test_commands import free_ports
from tests.fakes.gguf_corpus import gguf
from tests.fakes.hub import FakeHub
from tests.fakes.llama_server import make_llama_server
from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    FAKE_WORKER,
    REPOSITORY,
    Service,
    eventually,
    running,
    store_tiny_model,
)

TASKS = read_tasks()
# A service manager that starts the service when it is asked to, and says that it runs.
SYSTEMCTL = """#!/bin/sh
case "$*" in
  *restart*|*start*|*--now*) foundrylocal serve --detach > /dev/null ;;
  *is-active*) echo active ;;
esac
"""
HUB_REPO, HUB_MODEL = "unsloth/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q5_K_M-GGUF"
BROKEN_MODEL = "Qwen2.5-0.5B-Instruct-Q4_K_M-GGUF"
UNBREAKABLE_CHARS = (
    30  # an address, a path, a key or a name of a model: it is shown whole, whatever the width
)


@dataclass(frozen=True, slots=True)
class Check:
    """How a task is run: `shows` has what its commands show in turn, `before` verbs that prepare it and may fail.

    `instead` are the commands that are run in place of the page's. `is_text` is for those that show text of others
    (an answer, the log), whose lines may have any length.
    """

    shows: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    is_text: bool = False


CHECKS = {
    1: Check(("foundrylocal", "engine"), instead=("command -v foundrylocal", "foundrylocal doctor || true")),
    2: Check((r"\d+\.\d+\.\d+",)),
    4: Check(("Qwen2.5-3B",)),
    5: Check(("Fits",)),
    7: Check(("my-model",)),
    8: Check((r"llama3\.2-1b", r"llama3\.2-1b")),
    9: Check(("word0 word1",), is_text=True),
    10: Check(("Memory",)),
    11: Check(("MEMORY",), before=(f"start {CHAT_MODEL}",)),
    12: Check((r"context_size",)),
    13: Check(("system_prompt", r"temperature +0\.2 +preset")),
    14: Check(("assistant",), after=("alias assistant --remove",)),
    15: Check((CHAT_MODEL, BASE_MODEL), before=("stop",)),
    16: Check(("pinned",), after=(f"set {CHAT_MODEL} pinned=null",)),
    17: Check((BASE_MODEL,), before=(f"load {BASE_MODEL}",)),
    18: Check(("tokens/s", "(?i)tokens/s"), before=(f"start {CHAT_MODEL}",)),
    19: Check(("FoundryLocal",), is_text=True),
    20: Check(("port .*server",)),
    22: Check(("cuda", "engine .*load"), after=("config engine=null",)),
    23: Check(("x-arch", "x-arch"), ("stop", f"start {BROKEN_MODEL}"), ("stop",), is_text=True),
    24: Check(("word0",), before=(f"start {CHAT_MODEL}",), is_text=True),
    25: Check(
        ("fl-", "allowed_origins .*(immediately|at once)"),
        after=("keys rm web-page", "config allowed_origins=[]"),
    ),
    26: Check(("foundrylocal", "foundrylocal"), instead=("command -v foundrylocal",) * 2),
    27: Check(("completion",)),
    28: Check((BASE_MODEL, "freed"), before=(f"unload {BASE_MODEL}",)),
    30: Check(("ollama_port", "smollm2:135m"), after=("config ollama_port=null",), is_text=True),
}
# Tasks with a test of their own below.
OWN = {3, 6, 21, 29}


class Seat:
    """A person's place: a home with a running service, a shell, and a hub that answers."""

    def __init__(
        self, folder: Path, service: Service, hub: FakeHub, ports: dict[str, int], shell: Shell
    ) -> None:
        self.folder = folder
        self.service = service
        self.hub = hub
        self.ports = ports
        self.shell = shell

    def line(self, command: str) -> str:
        """The page's command with what differs on the test's machine."""
        made = {
            "11434": str(self.ports["11434"]),
            "/opt/llama/llama-server": str(self.folder / "llama" / "llama-server"),
        }
        for old, new in made.items():
            command = command.replace(old, new)
        return command

    def quietly(self, verbs: tuple[str, ...]) -> None:
        for verb in verbs:
            self.shell.run(f"foundrylocal {verb}")


def environment_of(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
    return kept | {
        "HOME": str(folder),
        "SHELL": "/bin/bash",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "FOUNDRYLOCAL_HOME": str(folder / "home"),
    }


@pytest.fixture(scope="module", params=[True, False], ids=["terminal", "script"])
def seat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    yield from seats(tmp_path_factory.mktemp("everyday"), has_terminal=request.param)


@pytest.fixture(params=[True, False], ids=["terminal", "script"])
def lone_seat(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Seat]:
    """A seat of one test, which changes what the others need."""
    yield from seats(tmp_path, has_terminal=request.param)


def seats(folder: Path, *, has_terminal: bool) -> Iterator[Seat]:
    home = folder / "home"
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 400")
    store_tiny_model(home, BASE_MODEL)
    store_tiny_model(home, BROKEN_MODEL, worker_flags="--fail-with \"unknown model architecture: 'x-arch'\"")
    write_model_file(folder)
    write_ollama_store(folder)
    make_llama_server(folder / "llama", "gpu")
    ports = free_ports(("1234", "11434"))
    config = home / "config"
    config.mkdir(parents=True)
    (config / "config.json").write_text(f'{{"port": {ports["1234"]}}}')
    # The service takes its port from the saved settings, as a person's does.
    prefix = ("env", "-u", "FOUNDRYLOCAL_PORT")
    with FakeHub() as hub:
        hub.add(HUB_REPO, "Llama-3.2-1B-Instruct-Q5_K_M.gguf", gguf() + os.urandom(2 * 1024 * 1024))
        settings = hub.environment | {"HOME": str(folder)}
        with running(home, worker=FAKE_WORKER, prefix=prefix, **settings) as service:
            shell = Shell(folder, environment_of(folder), has_terminal=has_terminal)
            yield Seat(folder, service, hub, ports, shell)


# --- the page -------------------------------------------------------------------------------------------


def test_there_are_thirty_tasks_of_at_most_two_commands() -> None:
    assert list(TASKS) == list(range(1, 31))
    assert [task.number for task in TASKS.values() if len(task.commands) > MAX_COMMANDS] == []
    assert len([line for line in TASKS[24].python.splitlines() if line]) <= 5


def test_every_task_is_tried() -> None:
    assert sorted(CHECKS.keys() | OWN) == list(TASKS)


# --- the tasks ------------------------------------------------------------------------------------------


def said(seat: Seat, command: str, words: str, *, is_text: bool = False) -> str:
    """Run one command, which has to succeed and show the words; what it shows."""
    ended = seat.shell.run(seat.line(command))
    assert ended.exit_code == 0, f"{command}\n{ended.shown}"
    assert re.search(words, ended.shown), f"{command} does not show {words!r}:\n{ended.shown}"
    if seat.shell.has_terminal and not is_text:
        assert wide_lines(ended.shown) == [], command
    return ended.shown


def wide_lines(shown: str) -> list[str]:
    """Lines that do not fit the terminal although they could be broken, and what is cut off."""
    wide = [line for line in shown.splitlines() if len(line) > COLUMNS]
    breakable = [line for line in wide if max(map(len, line.split())) < UNBREAKABLE_CHARS]
    return breakable + [line for line in shown.splitlines() if "…" in line]


@pytest.mark.parametrize("number", [number for number in CHECKS if number not in OWN])
def test_a_task_is_done_by_its_commands(seat: Seat, number: int) -> None:
    check, task = CHECKS[number], TASKS[number]
    seat.quietly(check.before)
    try:
        if task.python:
            run_python(seat, task, check.shows[0])
        for command, words in zip(check.instead or task.commands, check.shows, strict=not task.python):
            said(seat, command, words, is_text=check.is_text)
    finally:
        seat.quietly(check.after)


def run_python(seat: Seat, task: Task, words: str) -> None:
    health = seat.service.status()["health"]
    program = task.python.replace("http://127.0.0.1:1234/v1", health["endpoint"])
    (seat.folder / "five_lines.py").write_text(program.replace("fl-...", health["api_key"]), "utf-8")
    said(seat, f"{sys.executable} five_lines.py", words, is_text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
@pytest.mark.parametrize("has_terminal", [True, False], ids=["terminal", "script"])
def test_the_service_runs_in_the_background_and_at_boot(tmp_path: Path, has_terminal: bool) -> None:
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    environment = environment_of(tmp_path)
    environment |= {
        "PATH": os.pathsep.join([str(tool.parent), environment["PATH"]]),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "FOUNDRYLOCAL_API_PORT": str(free_ports(("9500",))["9500"]),
    }
    shell = Shell(tmp_path, environment, has_terminal=has_terminal)
    try:
        for command in TASKS[3].commands:
            ended = shell.run(command)
            assert ended.exit_code == 0, ended.shown
            assert "http://127.0.0.1:" in ended.shown
            assert "stopped" in shell.run("foundrylocal status").shown
            assert shell.run("foundrylocal shutdown").exit_code == 0
        assert (tmp_path / "config" / "systemd" / "user" / "foundrylocal.service").exists()
    finally:
        shell.run("foundrylocal shutdown")


def test_the_container_is_what_the_page_starts() -> None:
    key, compose = TASKS[29].commands
    assert key.startswith("export FOUNDRYLOCAL_MANAGEMENT_KEY=") and compose.startswith("docker compose up")
    text = (REPOSITORY / "compose.yaml").read_text("utf-8")
    assert "${FOUNDRYLOCAL_MANAGEMENT_KEY:?" in text and "dockerfile: Containerfile" in text


def test_a_download_is_paused_resumed_and_cancelled(lone_seat: Seat) -> None:
    seat, (pull, pause) = lone_seat, TASKS[6].commands

    def states() -> list[str]:
        return [one["state"] for one in seat.service.get("/downloads").json()["downloads"]]

    seat.hub.storage_faults.append("pause:600000")
    job = seat.shell.start(pull)
    eventually("bytes that have come", lambda: seat.hub.sent_bytes >= 500_000)
    said(seat, pause, "paused")
    assert "was paused" in job.wait().shown
    assert states() == ["paused"]
    said(seat, pause.replace("pause", "resume"), "resumed")
    eventually(
        "the end of the download", lambda: HUB_MODEL in said(seat, "foundrylocal list --downloaded", "")
    )
    said(seat, f"foundrylocal rm {HUB_MODEL}", "freed")
    seat.hub.storage_faults.append("stall:600000")
    job = seat.shell.start(pull)
    eventually("another download", lambda: states() == ["downloading"])
    said(seat, pause.replace("pause", "cancel"), "cancelled")
    assert "was cancelled" in job.wait().shown


def test_two_people_get_a_key_each_and_the_network_is_opened(lone_seat: Seat) -> None:
    keys, network = TASKS[21].commands
    shown = said(lone_seat, keys, "fl-")
    assert len(set(re.findall(r"fl-\S+", shown))) == 2
    said(lone_seat, network, "gateway_host .*server")
    management = {"Authorization": "Bearer choose-a-long-random-text"}
    assert lone_seat.service.get("/status").status_code == 401
    assert lone_seat.service.get("/keys", headers=management).json()["total_count"] == 2
