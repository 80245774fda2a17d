"""The service as the image runs it: process 1, a user without rights, a home in a volume, all addresses, a key."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.package.test_container_files import environment
from tests.running import FAKE_WORKER, Service, store_tiny_model

USER_ID = 10001
KEY = "a-key-of-the-container"
AS_PROCESS_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
AS_USER = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--no-new-privs"]
PROBE = [sys.executable, "-m", "foundrylocal.cli.health_probe"]


@pytest.fixture
def volume() -> Iterator[Path]:
    """An empty folder of the image's user, where it can reach it."""
    folder = Path(tempfile.mkdtemp(prefix="foundrylocal-volume-"))
    yield folder
    shutil.rmtree(folder)


def _prefix() -> list[str]:
    """What makes the service process 1 of a namespace, and the image's user if that user can run this Python."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))):
        pytest.skip("needs root, unshare and setpriv")
    if not _runs([*AS_PROCESS_1, "true"]):
        pytest.skip("no namespace of processes can be made here")
    # A Python in root's home folder cannot be run by anybody else.
    start_another = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    return [*AS_PROCESS_1, *(AS_USER if _runs([*AS_USER, sys.executable, "-c", start_another]) else [])]


def _runs(command: list[str]) -> bool:
    return not subprocess.run(command, check=False, capture_output=True, timeout=30).returncode


def _own(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER_ID, USER_ID)


def test_the_service_runs_as_in_the_image(volume: Path) -> None:
    prefix = _prefix()
    store_tiny_model(volume)
    if AS_USER[0] in prefix:
        _own(volume)
    volume.chmod(0o700)
    given = environment()
    settings = {name: given[name] for name in ("FOUNDRYLOCAL_API_HOST", "FOUNDRYLOCAL_GATEWAY_HOST")}
    service = Service(
        volume,
        worker=FAKE_WORKER,
        prefix=prefix,
        HOME=str(volume),
        FOUNDRYLOCAL_MANAGEMENT_KEY=KEY,
        **settings,
    )
    try:
        assert service.get("/status").status_code == 401
        service.http.headers["Authorization"] = f"Bearer {KEY}"
        service.start()
        (inner,) = psutil.Process(service.process.pid).children()
        assert inner.uids().real == volume.stat().st_uid
        inside = ["nsenter", f"--target={inner.pid}", "--pid", "--mount", *prefix[len(AS_PROCESS_1) :]]
        done = subprocess.run(
            [*inside, *PROBE],
            env={**os.environ, "FOUNDRYLOCAL_HOME": str(volume), "FOUNDRYLOCAL_MANAGEMENT_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "healthy\n")
        inner.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    finally:
        service.kill()


def test_without_a_key_it_refuses_and_says_so(volume: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "foundrylocal", "serve", "--port", "0"],
        env={**os.environ, **environment(), "PATH": os.environ["PATH"], "FOUNDRYLOCAL_HOME": str(volume)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "FOUNDRYLOCAL_MANAGEMENT_KEY" in done.stderr
