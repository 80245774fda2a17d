"""The service in the background: `serve --detach`, `shutdown`, and the model that it starts with."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from foundrylocal.home.lock import hold_home
from tests.e2e.test_cli import command, environment, nothing_left, processes_of, stored
from tests.running import CHAT_MODEL, FAKE_WORKER, eventually, running

__all__ = ["stored"]


def test_a_service_in_the_background_is_ready_when_the_command_returns_and_ends_on_request(
    stored: Path,
) -> None:
    settings = environment(stored, FOUNDRYLOCAL_LOAD_AT_START=CHAT_MODEL)
    ended = command(settings, "serve", "--detach", "--port", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split("  ")[0] for line in ended.stdout.splitlines()] == [
        "Service",
        "Dashboard",
        "Log files",
        "Stop it with",
    ]
    # The verbs find it, on whatever port it is.
    eventually("the model of load_at_start", lambda: CHAT_MODEL in command(settings, "status").stdout)
    again = command(settings, "serve", "--detach", "--port", "0")
    assert again.returncode == 2
    assert "Error: Another FoundryLocal service is already running with this home\n" in again.stderr
    assert again.stderr.endswith("  Next: foundrylocal status\n")
    ended = command(settings, "shutdown")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "has stopped" in ended.stdout
    assert not processes_of(stored)


def test_shutdown_without_a_service(stored: Path) -> None:
    ended = command(environment(stored), "shutdown")
    assert (ended.returncode, ended.stdout) == (0, "No service is running with this home.\n")


def test_shutdown_does_not_end_the_service_that_the_url_does_not_name(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        ended = command(environment(stored, FOUNDRYLOCAL_URL="http://127.0.0.1:1"), "shutdown")
        assert ended.returncode == 2
        assert service.root in ended.stderr
        assert service.process.poll() is None
        assert command(environment(stored, FOUNDRYLOCAL_URL=service.root), "shutdown").returncode == 0
        assert service.process.wait(10) == 0


def test_shutdown_says_when_the_service_has_no_address_yet(stored: Path) -> None:
    state = stored / "state"
    state.mkdir(parents=True)
    with hold_home(state):
        ended = command(environment(stored), "shutdown")
    assert ended.returncode == 1
    assert "starting up or shutting down" in ended.stderr


def test_a_detached_service_that_cannot_start_says_why(stored: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = command(environment(stored), "serve", "--detach", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    what, *why, next_step = ended.stderr.splitlines()
    assert what.startswith("Error: Port ") and "is already in use" in what
    assert why and next_step == "  Next: foundrylocal serve --detach --port 0"
    nothing_left(stored)


@pytest.mark.parametrize("name", ["no-such-model", CHAT_MODEL])
def test_a_model_that_cannot_be_loaded_at_the_start_leaves_the_service_running(
    stored: Path, name: str
) -> None:
    worker = [*FAKE_WORKER, "--fail-with", "unknown model architecture: 'x'"]
    with running(stored, worker=worker, FOUNDRYLOCAL_LOAD_AT_START=name) as service:
        health = eventually(
            "a degraded service",
            lambda: (found := service.get("/health").json())["status"] == "degraded" and found,
            timeout_s=30.0,
        )
        assert health["foundry_local"]["status"] == "stopped"
        assert service.status()["last_error"]["message"]
        lines = service.get("/logs?level=ERROR").json()
        assert any("load_at_start" in line["message"] and name in line["message"] for line in lines)
        assert service.post("/stop").json()["message"] == "Server is not running"
        assert service.get("/health").json()["status"] == "healthy"
