"""The commands of docs/how-to/cluster.md in their order; two homes with loopback addresses stand for two machines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from scripts.cluster_demo import Program, environment

from foundrylocal.engine.ray.node.command import session_folder
from tests.docs.blocks import Block, marked
from tests.docs.test_commands import free_ports
from tests.running import FAKE_WORKER, REPOSITORY, left_of

HEAD, SECOND, PORT = "127.0.1.1", "127.0.1.2", "6398"
END_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 120
PAGE = REPOSITORY / "docs" / "how-to" / "cluster.md"
# What the page's machines are called here. On a machine of its own a node needs no address.
REPLACED = {
    "cluster head --address 192.168.1.10": f"cluster head --address {HEAD} --port {PORT} --memory-mb 0",
    "cluster join 192.168.1.10:6379": f"cluster join {HEAD}:{PORT} --address {SECOND} --memory-mb 500",
    "127.0.1.1:6379": f"{HEAD}:{PORT}",
    "~/second-node": "$SECOND_NODE",
}
ONE_MACHINE = "foundrylocal cluster head"
# A command that stays, by its words, and the line that says that it is ready.
READY = {"cluster head": "head is ready", "cluster join": "has joined", "foundrylocal serve": "listening on"}
SSH = '#!/bin/sh\nshift\nexport FOUNDRYLOCAL_HOME="$SECOND_NODE"\nexec "$@"\n'


class Reader:
    """Somebody with a terminal on each machine; commands that stay are kept until `close`."""

    def __init__(self, folder: Path) -> None:
        self.homes = {"first": folder / "a", "second": folder / "b"}
        self._folder = folder
        self._staying: list[Program] = []
        for home in self.homes.values():
            home.mkdir()
        tools = folder / "bin"
        tools.mkdir()
        (tools / "ssh").write_text(SSH)
        (tools / "ssh").chmod(0o755)
        self._environment = environment(
            self.homes["first"],
            SECOND_NODE=str(self.homes["second"]),
            PATH=os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
            FOUNDRYLOCAL_API_PORT=str(free_ports(("9500",))["9500"]),
            FOUNDRYLOCAL_PORT="0",
            FOUNDRYLOCAL_WORKER_COMMAND=" ".join(FAKE_WORKER),
        )

    def follow(self, block: Block) -> None:
        """Type a block: run it to its end, or until it is ready if it stays."""
        text = block.text
        if text.strip() == ONE_MACHINE:
            text = f"{ONE_MACHINE} --port {PORT} --memory-mb 0"
        for old, new in REPLACED.items():
            text = text.replace(old, new)
        ready = next((line for words, line in READY.items() if words in text), None)
        script = ["bash", "-eu", "-o", "pipefail", "-c", text]
        on_second = "cluster join" in text
        variables = self._environment | (
            {"FOUNDRYLOCAL_HOME": str(self.homes["second"])} if on_second else {}
        )
        if ready is None:
            done = subprocess.run(
                script, env=variables, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
            )
            assert done.returncode == 0, f"line {block.line}: {text}\n{done.stdout}\n{done.stderr}"
            return
        output = self._folder / f"line-{block.line}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(script, env=variables, stdout=file, stderr=subprocess.STDOUT)
        self._staying.append(Program(process, output))
        self._staying[-1].wait_line(ready)

    def close(self) -> list[psutil.Process]:
        """End what stays, newest first; all their processes."""
        family = [one for program in self._staying for one in program.family()]
        for program in reversed(self._staying):
            with suppress(psutil.Error):
                for one in program.family()[:2]:  # the shell, and the program
                    one.send_signal(signal.SIGTERM)
            try:
                program.process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                program.kill_all()
        self._staying.clear()
        return family


@pytest.fixture
def reader() -> Iterator[Reader]:
    folder = Path(tempfile.mkdtemp(prefix="fl-"))  # a short path: Ray's sockets are in it
    found = Reader(folder)
    yield found
    for process in left_of(found.close(), 20):
        process.kill()
    for home in found.homes.values():
        shutil.rmtree(session_folder(home / "state"), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(600)
def test_the_commands_of_the_page_work(reader: Reader) -> None:
    blocks = marked("cluster")[PAGE]
    (alone,) = (number for number, block in enumerate(blocks) if block.text.strip() == ONE_MACHINE)
    for part in (blocks[:alone], blocks[alone:]):
        for block in part:
            reader.follow(block)
        assert left_of(reader.close(), 20) == []
