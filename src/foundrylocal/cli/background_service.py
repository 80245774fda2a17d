"""The process of a service that a verb starts: its output, the moment when it is ready, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundrylocal.cli.failure import Failure

READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 15.0
_POLL_S = 0.02
_OUTPUT_LIMIT_BYTES = 1_000_000
_READY = re.compile(r"FoundryLocal API listening on (http://\S+)")
_PR_SET_PDEATHSIG = 1
# How `serve` begins the line that says why it cannot run.
SERVE_PREFIX = "foundrylocal: "


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A service that was started; what it prints goes to the file `output`, from `start` on."""

    process: subprocess.Popen[bytes]
    output: Path
    start: int

    @property
    def logs(self) -> Path:
        """The folder of its log files."""
        return self.output.parent / "logs"

    def wait_ready(self) -> str | None:
        """The address that the service printed; None if it ended instead. Raises Failure after READY_TIMEOUT_S."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            has_ended = self.process.poll() is not None
            if found := _READY.search(self._printed()):
                return found[1]
            if has_ended:
                return None
            if time.monotonic() > deadline:
                raise Failure(
                    f"The service was not ready in {READY_TIMEOUT_S:g} s",
                    self.last_lines(),
                    f"see {self.output}",
                )
            time.sleep(_POLL_S)

    def _printed(self) -> str:
        with self.output.open("rb") as file:
            file.seek(self.start)
            return file.read().decode("utf-8", "replace")

    def last_lines(self) -> str | None:
        """What it printed last."""
        lines = [line for line in self._printed().splitlines() if line.strip()]
        return "\n".join(lines[-5:]) or None

    def why_it_ended(self, command: str) -> Failure:
        """What `serve` said on its last line, or else all that it printed last; `command` started the service."""
        printed = self.last_lines() or ""
        exit_code = 2 if self.process.returncode == 2 else 1
        last = printed.rpartition("\n")[2]
        if not last.startswith(SERVE_PREFIX):
            next_step = f"see {self.output}, and the log files in {self.logs}"
            what = f"The service ended immediately with exit code {self.process.returncode}"
            return Failure(what, printed or None, next_step, exit_code=exit_code)
        what, _, why = last.removeprefix(SERVE_PREFIX).partition(". ")
        next_step = "correct that, then run the same command again"
        if "with this home" in what:
            next_step = "foundrylocal status"
        elif what.startswith("Port "):
            next_step = f"{command} --port 0"
        return Failure(what.removesuffix("."), why or None, next_step, exit_code=exit_code)

    def end(self) -> None:
        """Stop the service cleanly; kill it if that takes too long or the user presses Ctrl-C again."""
        process = self.process
        if process.poll() is not None:
            return
        try:
            if sys.platform == "win32":
                process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                process.terminate()
            process.wait(END_TIMEOUT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            if sys.platform == "win32":
                process.kill()
            else:
                # Its workers are in process groups of their own and end with it.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_TIMEOUT_S)


def start_service(arguments: Sequence[str], *, ends_with_us: bool) -> ServiceProcess:
    """Start `foundrylocal serve` with these arguments, apart from this terminal. Raises Failure."""
    output = _output_file()
    with output.open("ab") as file:
        start = file.tell()
        return ServiceProcess(_spawn(arguments, file, ends_with_us=ends_with_us), output, start)


def _output_file() -> Path:
    from foundrylocal.home.folders import Folders

    state = Folders.locate().state
    path = state / "service-output.log"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _OUTPUT_LIMIT_BYTES:
            path.unlink()
        path.touch(mode=0o600)
    except OSError as error:
        raise Failure(
            f"Cannot write to the folder {state}",
            error.strerror or str(error),
            "make it writable, or set FOUNDRYLOCAL_HOME to another folder",
        ) from error
    return path


def _spawn(arguments: Sequence[str], output: Any, *, ends_with_us: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "foundrylocal", "serve", *arguments]
    # Its own process group: Ctrl-C at the terminal goes to this command, which then stops the service cleanly.
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    elif sys.platform == "linux" and ends_with_us:
        options["preexec_fn"] = _end_with_parent()
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
    )


def _end_with_parent() -> Callable[[], None]:
    """Runs first in the child: ask Linux to terminate it when this command is killed."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None
