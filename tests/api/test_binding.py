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
