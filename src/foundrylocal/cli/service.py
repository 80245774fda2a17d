"""The service as `run` finds it: one that answers already, or one started here and ended with the command.

Invariant: a service started here is gone when the command is, however that ends, unless it was to be kept.
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
    """Find the service, or start one and end it afterwards; raises Failure."""
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
    say(f"No service is running: starting one on port {asked or '(any free)'}.")
    with output.open("ab") as file:
        start = file.tell()
        process = _spawn(api.host, asked, file, keep=keep)
    is_kept = False
    try:
        url = _wait_ready(process, output, start)
        if url is None:
            # Another command may have started one at the same moment; its service is as good.
            yield Service(_found_after_all(api, asked, process, output, start), is_ours=False)
            return
        ready = ManagementClient(url)
        ready.check(timeout_s=READY_TIMEOUT_S)
        say(f"Service ready at {ready.url} (its log: {output.parent / 'logs'})")
        yield Service(ready, is_ours=True)
        is_kept = keep
    except Failure as failure:
        if "foundrylocal logs" in (failure.next_step or ""):
            # The service ends with this command, and only its files will tell more.
            failure.next_step = f"look into {output.parent / 'logs'}"
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
            f"Cannot write in the folder {state}",
            str(error),
            "make it writable, or set FOUNDRYLOCAL_HOME to another folder",
        ) from error
    return path


def _spawn(host: str, port: int, output: Any, *, keep: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "foundrylocal", "serve", "--port", str(port)]
    if host != "127.0.0.1":
        command += ["--host", host]
    # A group of its own: Ctrl-C at the terminal is for this command, which then ends the service in order.
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    elif sys.platform == "linux" and not keep:
        options["preexec_fn"] = _end_with_parent()
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
    )


def _end_with_parent() -> Callable[[], None]:
    """What the child does first: ask Linux to be told to end when this command is killed."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None


def _wait_ready(process: subprocess.Popen[bytes], output: Path, start: int) -> str | None:
    """The address the service says it listens on; None when it ended instead. Raises Failure in 30 s."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        has_ended = process.poll() is not None
        if found := _READY.search(_said(output, start)):
            return found[1]
        if has_ended:
            return None
        if time.monotonic() > deadline:
            raise Failure(
                f"The service was not ready in {READY_TIMEOUT_S:g} s",
                _last_lines(_said(output, start)),
                f"look into {output}",
            )
        time.sleep(_POLL_S)


def _found_after_all(
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
        f"The service ended at once, with exit code {process.returncode}",
        _last_lines(_said(output, start)),
        "if a port is taken: foundrylocal run --port 0; "
        f"if another service uses this home: foundrylocal status. All it said is in {output}",
    )


def _said(output: Path, start: int) -> str:
    with output.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")


def _last_lines(text: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the service in order, and with force when it does not or when the user asks a second time."""
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
            # Its workers are in groups of their own and end with it.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_TIMEOUT_S)
