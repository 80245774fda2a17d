"""The service that `run` uses: one that is already running, or one that it starts and stops itself.

Invariant: a service started here ends with the command, however that ends, unless --keep was given.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundrylocal.cli.client import ManagementClient, default_url
from foundrylocal.cli.failure import Failure, Refused, Unreachable
from foundrylocal.cli.render import say

READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 15.0
_POLL_S = 0.02
_OUTPUT_LIMIT_BYTES = 1_000_000
_READY = re.compile(r"FoundryLocal API listening on (http://\S+)")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Service:
    """The management API, and whether this command started it."""

    api: ManagementClient
    is_ours: bool


@contextmanager
def reach(port: int | None, *, keep: bool) -> Iterator[Service]:
    """Find the service, or start one and stop it afterwards. Raises Failure."""
    url = default_url() if port is None else f"http://127.0.0.1:{port}"
    api = ManagementClient(url)
    if port != 0:
        try:
            api.check()
        except Unreachable as failure:
            if api.host not in _LOOPBACK:
                raise failure from None
        else:
            yield Service(api, is_ours=False)
            return
    with _started(api, port, keep=keep) as service:
        yield service


@contextmanager
def _started(api: ManagementClient, port: int | None, *, keep: bool) -> Iterator[Service]:
    asked = api.port if port is None else port
    output = _output_file()
    say(f"No service is running. Starting one on {f'port {asked}' if asked else 'any free port'}.")
    with output.open("ab") as file:
        start = file.tell()
        process = _spawn(api.host, asked, file, keep=keep)
    is_kept = False
    try:
        url = _wait_ready(process, output, start)
        if url is None:
            # Another command may have started one at the same moment; use that one.
            yield Service(_find_other(api, asked, process, output, start), is_ours=False)
            return
        ready = ManagementClient(url)
        ready.check(timeout_s=READY_TIMEOUT_S)
        say(f"Service ready at {ready.url} (log files: {output.parent / 'logs'})")
        yield Service(ready, is_ours=True)
        is_kept = keep
    except Failure as failure:
        if "foundrylocal logs" in (failure.next_step or ""):
            # The service ends with this command; after that only its log files are left.
            failure.next_step = f"see the log files in {output.parent / 'logs'}"
        raise
    finally:
        if not is_kept:
            _end(process)


def _output_file() -> Path:
    from foundrylocal.settings.folders import Folders

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
            str(error),
            "make it writable, or set FOUNDRYLOCAL_HOME to another folder",
        ) from error
    return path


def _spawn(host: str, port: int, output: Any, *, keep: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "foundrylocal", "serve", "--port", str(port)]
    if host != "127.0.0.1":
        command += ["--host", host]
    # Its own process group: Ctrl-C at the terminal goes to this command, which then stops the service cleanly.
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    elif sys.platform == "linux" and not keep:
        options["preexec_fn"] = _end_with_parent()
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
    )


def _end_with_parent() -> Callable[[], None]:
    """Runs first in the child: ask Linux to terminate it when this command is killed."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None


def _wait_ready(process: subprocess.Popen[bytes], output: Path, start: int) -> str | None:
    """The address that the service printed; None if it ended instead. Raises Failure after READY_TIMEOUT_S."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        has_ended = process.poll() is not None
        if found := _READY.search(_printed(output, start)):
            return found[1]
        if has_ended:
            return None
        if time.monotonic() > deadline:
            raise Failure(
                f"The service was not ready in {READY_TIMEOUT_S:g} s",
                _last_lines(_printed(output, start)),
                f"see {output}",
            )
        time.sleep(_POLL_S)


def _find_other(
    api: ManagementClient, port: int, process: subprocess.Popen[bytes], output: Path, start: int
) -> ManagementClient:
    try:
        if port:
            api.check()
            return api
    except Refused:
        raise
    except Failure:
        pass
    raise Failure(
        f"The service ended immediately with exit code {process.returncode}",
        _last_lines(_printed(output, start)),
        "if a port is taken: foundrylocal run --port 0; "
        f"if another service uses this home: foundrylocal status. Its full output is in {output}",
    )


def _printed(output: Path, start: int) -> str:
    with output.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")


def _last_lines(text: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the service cleanly; kill it if that takes too long or the user presses Ctrl-C again."""
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
