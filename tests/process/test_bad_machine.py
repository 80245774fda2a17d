"""Row 34: starts on a bad machine. The service works, or it says why in one line and leaves nothing running."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import psutil
import pytest

from foundrylocal.home.folders import Folders, HomeUnusable
from tests.running import BASE_PATH, FAKE_WORKER, READY, Service, eventually, running, store_tiny_model

SERVE = [sys.executable, "-m", "foundrylocal", "serve", "--port", "0"]


def environment(home: Path | str) -> dict[str, str]:
    return os.environ | {"FOUNDRYLOCAL_HOME": str(home), "FOUNDRYLOCAL_PORT": "0"}


def refusal(home: Path | str, **options: str) -> str:
    """The one line of a service that cannot start."""
    done = subprocess.run(
        SERVE,
        env=environment(home) | options,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in (1, 2), done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("foundrylocal: ")
    return done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False
    ).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


# --- files and folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "config", "state/logs", "state/service.lock", "state/gateway.key"])
def test_row_34_what_stands_in_the_way_is_named(home: Path, name: str) -> None:
    obstacle = home / name
    if name in ("state/service.lock", "state/gateway.key"):
        obstacle.mkdir(parents=True)
    else:
        obstacle.parent.mkdir(parents=True, exist_ok=True)
        obstacle.write_text("a file where a folder belongs")
    said = refusal(home)
    assert name in said and "FOUNDRYLOCAL_HOME" in said


def test_row_34_a_home_that_is_no_folder_or_not_known_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refusal(tmp_path / "file")
    assert "home" in refusal("~nobody-of-that-name/x").lower()
    assert "File name too long" in refusal("/" + "x" * 300)


def test_row_34_a_full_disk_is_named_and_a_start_with_room_works(disk: Path) -> None:
    home = disk / "home"
    home.mkdir()
    fill(disk)
    assert "No space left on device" in refusal(home)
    (disk / "filler").unlink()
    with running(home, worker=FAKE_WORKER) as service:
        assert service.get("/health").status_code == 200


def test_row_34_a_disk_that_filled_up_since_the_last_run_is_named_or_does_not_matter(disk: Path) -> None:
    home = disk / "home"
    with running(home, worker=FAKE_WORKER):
        pass
    fill(disk)
    done = subprocess.Popen(
        SERVE, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        first = done.stdout.readline()
        assert first.startswith(READY) or not first
    finally:
        done.terminate()
        _, errors = done.communicate(timeout=30)
    assert "Traceback" not in errors and errors.count("\n") <= 1, errors
    assert done.returncode in (0, 1, 2)


def test_row_34_a_read_only_disk_is_named(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert "Read-only file system" in refusal(disk / "home")


def _create_as_nobody(home: Path, answer: Connection) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        Folders(home / "config", home / "state").create()
        answer.send("")
    except HomeUnusable as error:
        answer.send(f"{error.message}. {error.details}")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root to become another user")
def test_row_34_an_open_folder_of_another_user_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o777)
        (home / "state").mkdir()
        (home / "state").chmod(0o777)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_create_as_nobody, args=(home, theirs))
        child.start()
        child.join(30)
        said = ours.recv()
    assert "state" in said and "not permitted" in said and "FOUNDRYLOCAL_HOME" in said


def test_row_34_folders_that_others_may_enter_are_made_private(home: Path) -> None:
    for name in ("config", "state", "state/logs"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name).chmod(0o777)
    with running(home, worker=FAKE_WORKER):
        for name in ("config", "state", "state/logs"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o700, name


def test_row_34_a_home_below_many_folders_with_a_blank_works(tmp_path: Path) -> None:
    home = tmp_path.joinpath("a folder", *["x"] * 40, "the home")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        assert service.post("/stop").status_code == 200
        assert service.get("/logs?count=100").status_code == 200


# --- the process ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_row_34_closed_standard_streams_change_nothing(home: Path, closed: str) -> None:
    store_tiny_model(home)
    settings = {"FOUNDRYLOCAL_WORKER_COMMAND": " ".join(FAKE_WORKER)}
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *SERVE],
        env=environment(home) | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        record = home / "state" / "service.json"
        eventually("the service listens", record.exists, 30)
        for number in (0, 1, 2):
            target = Path(f"/proc/{process.pid}/fd/{number}").readlink()
            assert str(target) == os.devnull, (number, target)
        verb = [sys.executable, "-m", "foundrylocal"]
        for arguments in (["start", "SmolLM2-135M-Instruct-Q4_1-GGUF"], ["status"], ["stop"]):
            done = subprocess.run(
                ["sh", "-c", f'exec "$@" {closed}', "sh", *verb, *arguments],
                env=environment(home),
                timeout=60,
            )
            assert done.returncode == 0, arguments
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert not record.exists()


def test_row_34_a_reader_of_stdout_that_left_and_a_full_stdout_change_nothing(home: Path) -> None:
    for redirection in ("", ">/dev/full"):
        process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *SERVE],
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if process.stdout:
                process.stdout.close()
            record = home / "state" / "service.json"
            eventually("the service listens", lambda found=record: found.exists(), 30)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_row_34_as_process_1_the_service_runs_and_ends(home: Path) -> None:
    store_tiny_model(home)
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespace of processes can be made here")
    service = Service(home, worker=FAKE_WORKER, prefix=prefix)
    try:
        assert service.get("/health").status_code == 200
        service.start()
        (inner,) = psutil.Process(service.process.pid).children()
        inner.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    finally:
        service.kill()


# --- the address ----------------------------------------------------------------------------------------


def test_status_finds_the_service_of_its_home_on_any_port_and_no_other(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "foundrylocal", "status"]

    def status(of: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment(of), capture_output=True, text=True, timeout=60)

    with running(home, worker=FAKE_WORKER) as service:
        found = status(home)
        assert found.returncode == 0 and f"http://127.0.0.1:{service.port}" in found.stdout
        other = status(tmp_path / "other")
        assert str(service.port) not in other.stdout + other.stderr
        service.kill()  # leaves its record behind
        assert (home / "state" / "service.json").exists()
        lost = status(home)
        assert str(service.port) not in lost.stdout + lost.stderr


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1", "::1", "localhost"])
def test_the_address_that_is_printed_answers(home: Path, host: str) -> None:
    process = subprocess.Popen(
        [*SERVE, "--host", host], env=environment(home), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip().rpartition(" ")[2]
        assert httpx.get(f"{url}{BASE_PATH}/health").status_code == 200
        record = subprocess.run(
            [sys.executable, "-m", "foundrylocal", "status"],
            env=environment(home),
            capture_output=True,
            text=True,
        )
        assert url in record.stdout
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_the_endpoint_of_a_start_answers(home: Path, host: str) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_GATEWAY_HOST=host) as service:
        started = service.start()
        answer = httpx.get(
            f"{started['endpoint']}/models", headers={"Authorization": f"Bearer {started['api_key']}"}
        )
        assert answer.status_code == 200


def test_serve_verbose_writes_the_log_to_stderr(home: Path) -> None:
    said = {}
    for flags in ((), ("--verbose",)):
        process = subprocess.Popen(
            [*SERVE, *flags], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout and process.stdout.readline().startswith(READY)
        process.terminate()
        said[flags] = process.communicate(timeout=30)[1]
    assert said[()] == ""
    assert "INFO FoundryLocalApiService: FoundryLocal API listening on" in said[("--verbose",)]
