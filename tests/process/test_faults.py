"""Rows of the fault table: what becomes of the service when a worker, or the service itself, goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.fakes.gguf_corpus import gguf
from tests.fakes.hub import FakeHub
from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    FAKE_WORKER,
    Service,
    eventually,
    left_of,
    running,
    store_tiny_model,
)

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


def _pids(service: Service) -> list[int]:
    return [process.pid for process in service.workers()]


def test_row_01_a_killed_worker_is_restarted_and_the_status_is_truthful(service: Service) -> None:
    service.start()
    (worker,) = _pids(service)
    os.kill(worker, signal.SIGKILL)
    status = eventually("the loss is seen", lambda: (s := service.status())["loaded_model_id"] is None and s)
    assert status["status"] == "running"
    assert status["health"]["is_healthy"] is False
    assert "SIGKILL" in status["last_error"]["details"]
    assert service.get("/health").json()["status"] == "degraded"
    with service.gateway() as gateway:
        answer = gateway.post("/v1/chat/completions", json=HELLO)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")
        assert int(answer.headers["retry-after"]) >= 1
        eventually("it is back", lambda: service.get("/health").json()["foundry_local"]["is_healthy"])
        assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200
    assert _pids(service) != [worker]


def test_row_02_death_before_ready_fails_the_start_with_the_engines_reason(home: Path) -> None:
    store_tiny_model(home, worker_flags="--fail-with 'tensor shapes are wrong'")
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_start_failed")
        assert "tensor shapes are wrong" in answer.json()["error"]["details"]
        assert service.status()["status"] == "stopped"
        assert service.status()["last_error"]["code"] == "server_start_failed"


def test_row_02_death_after_ready_is_given_up_after_three_restarts(home: Path) -> None:
    store_tiny_model(home, worker_flags="--die-after 0.5 --exit-code 7")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="0.1, 0.1") as service:
        service.start()
        status = eventually(
            "the server gives up", lambda: (s := service.status())["status"] == "error" and s, 40
        )
        assert "exited with code 7" in status["last_error"]["details"]
        assert not service.workers()
        assert service.post("/start", {"model_name": CHAT_MODEL}).status_code != 409


def test_row_03_a_stopped_worker_is_ended_and_restarted(service: Service) -> None:
    service.start(options={"health_check_interval_seconds": 0.2})
    (worker,) = service.workers()
    worker.suspend()
    assert service.status()["status"] == "running"
    eventually("another one answers", lambda: service.workers() and _pids(service) != [worker.pid], 30)
    eventually("it is healthy", lambda: service.status()["health"]["is_healthy"], 20)


def test_row_04_a_load_that_never_ends_times_out_and_leaves_nothing(home: Path) -> None:
    store_tiny_model(home, worker_flags="--never-ready --ignore-sigterm")
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL, "options": {"timeout_seconds": 1}})
        assert answer.status_code == 408
        assert answer.json()["error"] == {
            "message": "Server failed to start within timeout period",
            "type": "timeout_error",
            "code": "server_start_timeout",
            "details": "Timeout: 1 seconds. Try increasing timeout_seconds option.",
        }
        assert not service.workers()
        assert service.status()["status"] == "stopped"


@pytest.mark.parametrize("flags", ["--never-ready", None], ids=["starting", "running"])
def test_row_05_nothing_outlives_a_killed_service(home: Path, flags: str | None) -> None:
    store_tiny_model(home, worker_flags=flags)
    # The real worker's own way to die with its parent is tested with the real model below.
    service = Service(home, worker=FAKE_WORKER)
    starter = threading.Thread(target=_start_until_cut, args=(service,), daemon=True)
    starter.start()
    workers = eventually("a worker", service.workers)
    if flags is None:
        eventually("it runs", lambda: service.status()["status"] == "running")
    service.kill()
    assert not left_of(workers, 2)
    with running(home, worker=FAKE_WORKER) as again:
        assert again.status()["status"] == "stopped"


def _start_until_cut(service: Service) -> None:
    try:
        service.start()
    except httpx.HTTPError:  # the connection breaks with the service
        return


def test_row_06_sigterm_with_open_streams_and_chats_ends_them_and_exits_with_0(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 20 --tokens 100000 --slots 8")
    with running(home, worker=FAKE_WORKER) as service:
        service.start(options={"parallel": 8})
        endings: list[list[str]] = []
        opened = threading.Semaphore(0)

        def follow(client: httpx.Client, method: str, path: str, body: object) -> None:
            with client.stream(method, path, json=body) as answer:
                lines = answer.iter_lines()
                first = next(lines)
                opened.release()
                endings.append([first, *lines])

        with service.gateway() as gateway:
            calls = [(service.http, "GET", "/logs/stream", None)] * 50
            calls += [(gateway, "POST", "/v1/chat/completions", {**HELLO, "stream": True})] * 8
            readers = [threading.Thread(target=follow, args=call, daemon=True) for call in calls]
            for reader in readers:
                reader.start()
            for _ in readers:
                assert opened.acquire(timeout=20)
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(10) == 0
            for reader in readers:
                reader.join(5)
    assert len(endings) == len(readers)
    chats = [lines for lines in endings if "chat.completion.chunk" in "".join(lines)]
    assert len(chats) == 8
    assert all("server_shutting_down" in "".join(lines) and "[DONE]" not in lines[-1] for lines in chats)


def test_row_06_a_second_sigterm_ends_at_once(home: Path) -> None:
    store_tiny_model(home, worker_flags="--ignore-sigterm")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        workers = service.workers()
        service.process.send_signal(signal.SIGTERM)
        eventually("it is stopping", lambda: service.status()["status"] == "stopping")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(2) != 0
        assert not left_of(workers, 2)


def test_row_07_a_worker_that_ignores_sigterm_is_killed(home: Path) -> None:
    store_tiny_model(home, worker_flags="--ignore-sigterm")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        assert service.post("/stop").json()["success"] is True
        assert not service.workers()


def test_row_09_a_taken_gateway_port_is_named_and_nothing_is_spawned(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = service.post("/start", {"model_name": CHAT_MODEL, "port": port})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "port_in_use")
        assert str(os.getpid()) in answer.json()["error"]["message"]
        assert not service.workers()
    assert service.start(port=port)["port"] == port


def test_row_09_a_taken_management_port_is_one_line_and_an_exit_code(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "foundrylocal", "serve", "--port", str(taken.getsockname()[1])],
            env={**os.environ, "FOUNDRYLOCAL_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert "is already in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_row_20_a_truncated_model_is_refused_before_anything_is_spawned(home: Path) -> None:
    path = store_tiny_model(home)
    path.write_bytes(path.read_bytes()[:-8])
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "model_corrupted")
        assert not service.workers()


def test_row_26_stop_cancels_a_start(home: Path) -> None:
    store_tiny_model(home, worker_flags="--never-ready")
    with running(home, worker=FAKE_WORKER) as service:
        answers = []
        starter = threading.Thread(
            target=lambda: answers.append(service.post("/start", {"model_name": CHAT_MODEL}))
        )
        starter.start()
        eventually("a worker", service.workers)
        assert (
            service.post("/start", {"model_name": CHAT_MODEL}).json()["error"]["code"]
            == "operation_in_progress"
        )
        assert service.post("/stop").status_code == 200
        starter.join(10)
        assert answers[0].json()["error"]["code"] == "operation_cancelled"
        assert service.status()["status"] == "stopped"
        assert not service.workers()


def test_row_26_twenty_downloads_of_one_model_are_one_fetch_and_one_file(home: Path) -> None:
    data = gguf() + os.urandom(3_000_000)
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", data)
        name = service.post("/models/import", {"repo": "me/Tiny-GGUF"}).json()["model_name"]
        assert service.http.delete(f"/models/{name}").json()["freed_space_bytes"] == len(data)
        hub.asked.clear()
        hub.storage_faults.append("pause:1000000")
        with ThreadPoolExecutor(20) as pool:
            calls = [pool.submit(service.post, f"/models/{name}/download") for _ in range(20)]
            hub.wait_for_sent(len(data) + 1_000_000)
            assert service.get("/downloads").json()["total_count"] == 1
            hub.go_on.set()
            answers = [call.result() for call in calls]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["file_size_bytes"] for answer in answers} == {len(data)}
        assert [asked.method for asked in hub.asked if asked.origin == "storage"].count("GET") == 1
        assert hub.sent_bytes == 2 * len(data)
        (file,) = (home / "cache").rglob("*.gguf*")
        assert file.read_bytes() == data


@pytest.mark.parametrize("is_first", [True, False])
def test_row_26_a_stop_leaves_a_download_that_somebody_else_asked_for(home: Path, is_first: bool) -> None:
    data = gguf() + os.urandom(3_000_000)
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", data)
        name = service.post("/models/import", {"repo": "me/Tiny-GGUF"}).json()["model_name"]
        service.http.delete(f"/models/{name}")
        hub.storage_faults.append("pause:1000000")
        asks = [("/start", {"model_name": name}), (f"/models/{name}/download-stream", None)]
        with ThreadPoolExecutor(2) as pool, ExitStack() as streams:
            calls = []
            for path, body in asks if is_first else reversed(asks):
                if path == "/start":
                    calls.append(pool.submit(service.post, path, body))
                    eventually("the start", lambda: service.status()["status"] == "starting")
                    eventually("its download", lambda: service.get("/downloads").json()["total_count"])
                else:
                    # Its head comes when the download is joined.
                    stream = streams.enter_context(service.http.stream("POST", path))
            (start,) = calls
            hub.wait_for_sent(len(data) + 1_000_000)
            assert service.post("/stop").status_code == 200
            assert start.result().json()["error"]["code"] == "operation_cancelled"
            hub.go_on.set()
            last = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")][-1]
        assert last["type"] == "success"
        hub.storage_faults.clear()
        assert service.get(f"/models/{name}").json()["is_downloaded"] is True


def test_row_26_a_second_service_on_one_home_exits_with_a_clear_line(service: Service) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "foundrylocal", "serve", "--port", "0"],
        env={**os.environ, "FOUNDRYLOCAL_HOME": str(service.home)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "Another FoundryLocal service is already running" in done.stderr


def test_a_switch_to_a_model_that_fails_leaves_the_old_one_serving(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, worker_flags="--fail-with 'no such architecture'")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        answer = service.post("/switch-model", {"model_name": BASE_MODEL})
        assert answer.json()["error"]["code"] == "server_start_failed"
        assert "is still serving requests" in answer.json()["error"]["details"]
        assert service.status()["current_model"] == CHAT_MODEL
        with service.gateway() as gateway:
            assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200


def test_twenty_starts_and_stops_leave_nothing(service: Service) -> None:
    for _ in range(20):
        service.start()
        service.post("/stop")
    assert not service.workers()
    folder = service.run_folder()
    assert folder is not None
    assert not list(folder.iterdir())
    service.stop()
    assert not folder.exists()
