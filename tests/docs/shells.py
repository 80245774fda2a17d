"""A command as a person runs it: at a terminal of 80 columns and 24 lines, or in a script without a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COLUMNS, LINES = 80, 24
TIMEOUT_S = 60.0
# Colors and cursor moves, and what a bar writes over.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and all that it showed; at a terminal without escapes."""

    exit_code: int
    shown: str


class Shell:
    """Runs commands in a folder with an environment; `has_terminal` says where their input and output go."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, has_terminal: bool) -> None:
        self._folder = folder
        self._environment = {**environment, "TERM": "xterm"}
        self.has_terminal = has_terminal

    def run(self, command: str) -> Ended:
        """Run a command line to its end, bounded by TIMEOUT_S."""
        job = self.start(command)
        return job.wait()

    def start(self, command: str) -> Job:
        # The shell stays for as long as the command runs: completion asks which shell it was started from.
        return Job(
            ["bash", "-c", f"{command}\nexit $?"],
            self._folder,
            self._environment,
            has_terminal=self.has_terminal,
        )


class Job:
    """A command that runs; a thread reads what it shows."""

    def __init__(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], *, has_terminal: bool
    ) -> None:
        self._reading, writing = pty.openpty() if has_terminal else os.pipe()
        if has_terminal:
            fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdin=writing if has_terminal else subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        self._data = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that everybody has closed
            while data := os.read(self._reading, 65536):
                self._data += data

    def type(self, text: str) -> None:
        """Type it at the terminal."""
        os.write(self._reading, text.encode())

    def wait(self) -> Ended:
        """Wait for its end; kill it after TIMEOUT_S."""
        try:
            exit_code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            exit_code = self._process.wait(5)
        # What it left in the background may hold the terminal: a service that was detached.
        self._reader.join(5)
        if not self._reader.is_alive():
            os.close(self._reading)
        text = self._data.decode(errors="replace").replace("\r\n", "\n")
        shown = "\n".join(line.rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
        return Ended(exit_code, shown)
