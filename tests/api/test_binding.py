"""Where the service may listen: beyond this machine only with a management key."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import FAKE_WORKER, running


@pytest.mark.parametrize("how", [["--host", "0.0.0.0"], ["--host", "::"], []])
def test_a_wide_bind_without_a_key_is_refused(home: Path, how: list[str]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = os.environ | {"FOUNDRYLOCAL_HOME": str(home)}
    if not how:
        environment["FOUNDRYLOCAL_GATEWAY_HOST"] = "0.0.0.0"
    done = subprocess.run(
        [sys.executable, "-m", "foundrylocal", "serve", "--port", str(port), *how],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "management key" in done.stderr and "Traceback" not in done.stderr
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


def test_a_wide_bind_does_not_widen_the_host_check(home: Path) -> None:
    key = "a-management-key-of-the-test"
    wide = {"FOUNDRYLOCAL_API_HOST": "0.0.0.0", "FOUNDRYLOCAL_MANAGEMENT_KEY": key}
    with running(home, worker=FAKE_WORKER, **wide) as service:
        proof = {"Authorization": f"Bearer {key}"}
        assert service.get("/health", headers=proof).status_code == 200
        assert service.get("/health").status_code == 401
        assert service.get("/health", headers=proof | {"Host": "192.0.2.7:9500"}).status_code == 403


def test_a_service_that_others_reach_keeps_its_key(home: Path) -> None:
    key = "a-management-key-of-the-test"
    wide = {"FOUNDRYLOCAL_API_HOST": "0.0.0.0", "FOUNDRYLOCAL_MANAGEMENT_KEY": key}
    with running(home, worker=FAKE_WORKER, **wide) as service:
        service.http.headers["Authorization"] = f"Bearer {key}"
        assert service.post("/config", {"management_key": key}).status_code == 200
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_API_HOST="0.0.0.0") as service:
        service.http.headers["Authorization"] = f"Bearer {key}"
        for body in ({"defaults": True}, {"management_key": None}):
            error = service.post("/config", body).json()["error"]
            assert error["code"] == "invalid_configuration" and "without a key" in error["message"]
        del service.http.headers["Authorization"]
        assert service.get("/status").status_code == 401
