"""The command as people run it: a process of its own, at a terminal and behind a pipe, with a real service."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)

COMMAND = [sys.executable, "-m", "foundrylocal"]
RUN_TIMEOUT_S = 60.0


def environment(home: Path, *flags: str, **more: str) -> dict[str, str]:
    """A home of the test, the fake worker with these flags, and a gateway on any free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
    worker = shlex.join([*FAKE_WORKER, *flags])
    return kept | {
        "FOUNDRYLOCAL_HOME": str(home),
        "FOUNDRYLOCAL_PORT": "0",
        "FOUNDRYLOCAL_WORKER_COMMAND": worker,
        **more,
    }


def command(settings: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=settings,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that was given this home, whoever started it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("FOUNDRYLOCAL_HOME") == str(home) and process.status() != "zombie":
                found.append(process)
    return found


def nothing_left(home: Path) -> None:
    eventually("no process of this home", lambda: not processes_of(home), timeout_s=20.0)


@pytest.fixture
def stored(home: Path) -> Iterator[Path]:
    """A home with a tiny model on disk; whatever a test started in it is ended after it."""
    store_tiny_model(home)
    yield home
    left = processes_of(home)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)


# --- once -----------------------------------------------------------------------------------------------


def test_run_once_goes_from_nothing_to_an_answer_and_back(stored: Path) -> None:
    ended = command(environment(stored), "run", "--once", "--port", "0")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
    assert "\r" not in ended.stdout
    for part in ("word0 word1", "tokens/s", "/v1/chat/completions -H 'Authorization: Bearer fl-", "fl-"):
        assert part in ended.stdout
    assert "Server health check passed\nServer started successfully\n" in ended.stdout
    nothing_left(stored)


def test_run_reads_the_question_from_stdin(stored: Path) -> None:
    ended = command(environment(stored), "run", CHAT_MODEL, "--port", "0", stdin="What is up?\n")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("word0 word1")
    assert ended.stdout.endswith("\n")
    assert len(ended.stdout.splitlines()) == 1, "more than the answer"
    assert "tokens/s" in ended.stderr
    assert "fl-" not in ended.stderr
    nothing_left(stored)


@pytest.mark.model
def test_run_once_with_the_real_model(home: Path, model_cache: Path) -> None:
    settings = environment(home, FOUNDRYLOCAL_CACHE_DIR=str(model_cache))
    del settings["FOUNDRYLOCAL_WORKER_COMMAND"]
    ended = command(settings, "run", "--once", "--port", "0")
    assert ended.returncode == 0, ended.stderr
    assert " cat " in ended.stdout.split("> Tell me in one sentence what a cat is.")[1]
    nothing_left(home)


def test_run_uses_a_service_that_is_there_and_stops_its_own_start_only(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        settings = environment(stored)
        ended = command(settings, "run", CHAT_MODEL, "Hi", "--port", str(service.port))
        assert ended.returncode == 0, ended.stderr
        assert service.status()["status"] == "stopped"

        service.start()
        ended = command(settings, "run", CHAT_MODEL, "Hi", "--port", str(service.port))
        assert ended.returncode == 0, ended.stderr
        assert "is already loaded" in ended.stderr
        assert service.status()["status"] == "running"


def test_run_loads_beside_what_is_loaded_and_leaves_it_so(stored: Path) -> None:
    store_tiny_model(stored, BASE_MODEL)
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        ended = command(environment(stored), "run", BASE_MODEL, "Hi", "--port", str(service.port))
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("word0 word1")
        assert f"Loading {BASE_MODEL} alongside {CHAT_MODEL}..." in ended.stderr
        status = service.status()
        assert (status["current_model"], status["status"]) == (CHAT_MODEL, "running")
        loaded = [model["simple_name"] for model in service.get("/models/loaded").json()["models"]]
        assert loaded == [CHAT_MODEL]


def test_run_does_not_evict_another_model(stored: Path) -> None:
    store_tiny_model(stored, BASE_MODEL)
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        service.post(
            "/config", {"memory_budget_mb": 1}
        )  # the model in memory stays; there is room for no other
        ended = command(environment(stored), "run", BASE_MODEL, "Hi", "--port", str(service.port))
        assert ended.returncode == 1
        assert f"There is not enough memory to load {BASE_MODEL} alongside {CHAT_MODEL}" in ended.stderr
        assert f"Next: foundrylocal unload {CHAT_MODEL}" in ended.stderr
        assert service.get("/models/loaded").json()["total_count"] == 1


def test_run_keep_leaves_the_service(stored: Path) -> None:
    ended = command(environment(stored), "run", "--once", "--keep", "--port", "0")
    assert ended.returncode == 0, ended.stderr
    url = re.search(r"Service ready at (\S+)", ended.stdout)
    assert url
    settings = environment(stored, FOUNDRYLOCAL_URL=url[1])
    assert "running" in command(settings, "status").stdout
    assert command(settings, "stop").stdout == "Server stopped successfully\n"


# --- what goes wrong ------------------------------------------------------------------------------------


def test_a_worker_that_fails_says_why_and_leaves_nothing(stored: Path) -> None:
    settings = environment(stored, "--fail-with", "unknown model architecture: 'x'")
    ended = command(settings, "run", "--once", "--port", "0")
    assert ended.returncode == 1
    assert "Error: Server failed to start\n" in ended.stderr
    assert "does not know the model's architecture 'x'" in ended.stderr
    assert "Next: see the log files in" in ended.stderr
    nothing_left(stored)


def test_a_stranger_on_the_management_port(stored: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        # It takes the connection and never answers, as many programs do.
        port = stranger.getsockname()[1]
        ended = command(environment(stored), "run", "--once", "--port", str(port))
    assert ended.returncode == 1
    assert f"Another program is using http://127.0.0.1:{port}" in ended.stderr
    assert "run --port" in ended.stderr
    nothing_left(stored)


def test_a_taken_server_port(stored: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        ended = command(environment(stored), "run", "--once", "--port", "0", "--gateway-port", port)
    assert ended.returncode == 1
    assert f"Port {port} is already in use" in ended.stderr
    assert "Next: foundrylocal run --gateway-port 0" in ended.stderr
    nothing_left(stored)


def test_a_service_that_ends_at_once_gives_its_reason(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER):
        ended = command(environment(stored), "run", "--once", "--port", "0")
    assert ended.returncode == 1
    assert "Another FoundryLocal service is already running with this home" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_model_loads_leaves_nothing(stored: Path, number: signal.Signals) -> None:
    with _started(environment(stored, "--never-ready"), "run", "--once", "--port", "0") as process:
        _read_until(process, "Waiting for server to be ready...")
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    nothing_left(stored)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_kill_9_of_run_takes_the_service_along(stored: Path) -> None:
    with _started(environment(stored, "--never-ready"), "run", "--once", "--port", "0") as process:
        _read_until(process, "Waiting for server to be ready...")
        process.kill()
        process.wait(5)
    nothing_left(stored)


@contextlib.contextmanager
def _started(settings: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(5)
        assert process.stdout
        process.stdout.close()


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    with _bounded(process):
        for line in process.stdout:
            if text in line:
                return
    raise AssertionError(f"it never said {text!r}")


@contextlib.contextmanager
def _bounded(process: subprocess.Popen[str]) -> Iterator[None]:
    timer = threading.Timer(RUN_TIMEOUT_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# --- the other verbs ------------------------------------------------------------------------------------


def test_the_verbs_against_a_service(service: Service) -> None:
    settings = environment(service.home, FOUNDRYLOCAL_URL=f"http://127.0.0.1:{service.port}")

    def out(*arguments: str) -> str:
        ended = command(settings, *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert len(out("list", "--all").splitlines()) > 100
    downloaded = out("list")
    assert CHAT_MODEL in downloaded
    assert BASE_MODEL in downloaded
    assert "stopped" in out("status")
    started = out("start", CHAT_MODEL)
    assert "Server started successfully" in started
    assert service.status()["health"]["api_key"] in started
    assert "running" in out("status")
    assert BASE_MODEL in out("switch", BASE_MODEL)
    assert "FoundryLocalService" in out("logs", "-n", "50")
    assert out("stop") == "Server stopped successfully\n"
    assert "freed" in out("rm", BASE_MODEL)
    assert BASE_MODEL not in out("list")
    assert "default_log_level takes effect immediately" in out("config", "default_log_level=DEBUG")
    assert "DEBUG" in out("config")
    out("config", "--reset")
    assert "INFO" in out("config")


def test_errors_of_the_service_are_told_in_words(service: Service) -> None:
    settings = environment(service.home, FOUNDRYLOCAL_URL=f"http://127.0.0.1:{service.port}")
    ended = command(settings, "start", "SmolLM-135M")
    assert ended.returncode == 1
    assert "Error: Model 'SmolLM-135M' not found in registry\n  Did you mean: " in ended.stderr
    assert "Next: foundrylocal list" in ended.stderr
    ended = command(settings, "config", "port=many")
    assert ended.returncode == 1
    assert "port" in ended.stderr


def test_logs_follow_shows_what_comes_and_ends_with_ctrl_c(service: Service) -> None:
    settings = environment(service.home, FOUNDRYLOCAL_URL=f"http://127.0.0.1:{service.port}")
    with _started(settings, "logs", "-f") as process:
        _read_until(process, "listening")
        service.start()
        _read_until(process, "FoundryLocalService")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


# --- at a terminal --------------------------------------------------------------------------------------


class Terminal:
    """The command at a pseudo-terminal: what it shows is read all the time, and waited for with a bound."""

    def __init__(self, settings: dict[str, str], *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=settings | {"TERM": "xterm", "COLUMNS": "100"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            # As a shell does: Ctrl-C typed at the terminal becomes a signal to what runs there.
            preexec_fn=_own_terminal,
        )
        os.close(slave)
        self.shown = ""
        self._seen = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self.shown += data.decode(errors="replace")

    def expect(self, text: str) -> None:
        """Wait for a text after what was expected before."""

        def find() -> bool:
            return text in self.shown[self._seen :]

        eventually(f"{text!r} at the terminal, which shows {self.shown[-2000:]!r}", find, timeout_s=30.0)
        self._seen = self.shown.index(text, self._seen) + len(text)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        self._reader.join(5)
        os.close(self._master)


def _own_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_chat_at_a_terminal(stored: Path) -> None:
    settings = environment(stored, "--tokens", "400", "--rate", "40")
    terminal = Terminal(settings, "run", "--port", "0")
    try:
        terminal.expect("answers programs at http://127.0.0.1:")
        terminal.expect("/bye quits")
        terminal.expect("> ")
        terminal.type("/hlep\n")
        terminal.expect("There is no command /hlep")
        terminal.expect("> ")
        terminal.type('"""Hi\n')
        terminal.expect("... ")
        terminal.type('you"""\n')
        terminal.expect("word3 ")
        terminal.type("\x03")
        terminal.expect("(stopped, ")
        terminal.expect("tokens/s")
        terminal.expect("> ")
        terminal.type("/clear\n")
        terminal.expect("Conversation cleared.")
        terminal.type("And now?\n")
        terminal.expect("word3 ")
        terminal.type("\x03")
        terminal.expect("> ")
        terminal.type("/bye\n")
        terminal.expect("Stopping what this command started")
        assert terminal.process.wait(20) == 0
        assert "fl-" not in terminal.shown, "the key was not asked for"
    finally:
        terminal.close()
    nothing_left(stored)


def test_ctrl_c_twice_at_the_prompt_ends_the_chat(stored: Path) -> None:
    terminal = Terminal(environment(stored), "run", "--port", "0")
    try:
        terminal.expect("/bye quits")
        terminal.expect("> ")
        terminal.type("\x03")
        terminal.expect("Ctrl-C again also quits")
        terminal.expect("> ")
        terminal.type("\x03")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()
    nothing_left(stored)


def test_a_worker_that_dies_does_not_end_the_chat(stored: Path) -> None:
    terminal = Terminal(environment(stored, "--die-mid-stream", "5"), "run", "--port", "0")
    try:
        terminal.expect("> ")
        terminal.type("Hi\n")
        terminal.expect("Error: ")
        terminal.expect("> ")
        terminal.type("\x04")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()
    nothing_left(stored)


def test_serve_refuses_a_taken_port_with_one_line(stored: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        ended = command(environment(stored), "serve", "--port", port)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} is already in use" in ended.stderr
