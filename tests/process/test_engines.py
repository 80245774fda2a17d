"""llama-server binaries as engines: every bad kind is reported with reason and next step, a good one serves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from foundrylocal.engine.engine import EngineState
from foundrylocal.engine.llama_server.engine import FAILURE_REUSE_S, LlamaServer
from tests.fakes.llama_server import make_llama_server
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, eventually, left_of, running, store_tiny_model


def report(binary: Path, timeout_s: float = 20.0) -> Any:
    return anyio.run(LlamaServer("test", binary, answer_timeout_s=timeout_s).report)


def missing(folder: Path) -> Path:
    return folder / "llama-server"


def not_executable(folder: Path) -> Path:
    binary = make_llama_server(folder)
    binary.chmod(0o644)
    return binary


def wrong_architecture(folder: Path) -> Path:
    binary = make_llama_server(folder)
    machine = 62 if os.uname().machine == "aarch64" else 183
    binary.write_bytes(
        b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little") + bytes(64)
    )
    return binary


def truncated(folder: Path) -> Path:
    binary = make_llama_server(folder)
    binary.write_bytes(Path("/bin/true").resolve().read_bytes()[:600])
    return binary


def of_mode(how: str) -> Callable[[Path], Path]:
    return lambda folder: make_llama_server(folder, how)


BAD = [
    (missing, EngineState.MISSING, "cannot be found"),
    (not_executable, EngineState.INCOMPATIBLE, "is not executable"),
    (wrong_architecture, EngineState.INCOMPATIBLE, "is built for"),
    (truncated, EngineState.INCOMPATIBLE, "llama-server"),
    (of_mode("old"), EngineState.INCOMPATIBLE, "is too old: it has no --cache-ram, --kv-unified"),
    (of_mode("crashes"), EngineState.INCOMPATIBLE, "instructions that this processor does not have"),
    (of_mode("aborts"), EngineState.INCOMPATIBLE, "crashed with SIGABRT"),
    (of_mode("fails"), EngineState.INCOMPATIBLE, "exit code 3"),
    (of_mode("library"), EngineState.INCOMPATIBLE, "libcudart.so.12"),
    (of_mode("other"), EngineState.INCOMPATIBLE, "is not a llama-server"),
]


@pytest.mark.parametrize(("make", "state", "says"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_a_binary_that_cannot_be_used_is_reported_with_reason_and_next_step(
    tmp_path: Path, make: Callable[[Path], Path], state: EngineState, says: str
) -> None:
    found = report(make(tmp_path))
    assert (found.state, says in found.message) == (state, True), found
    assert found.action
    assert str(tmp_path) not in f"{found.message} {found.action}"
    assert found.devices == ()


def test_a_binary_that_hangs_is_ended_within_its_bound(tmp_path: Path) -> None:
    began = time.monotonic()
    found = report(make_llama_server(tmp_path, "hangs"), timeout_s=0.5)
    assert found.state is EngineState.INCOMPATIBLE
    assert "did not finish within 0.5 s" in found.message
    assert time.monotonic() - began < 15  # and not for as long as the binary would take
    assert _running_from(tmp_path) == []


def test_nothing_that_a_binary_started_is_left(tmp_path: Path) -> None:
    found = report(make_llama_server(tmp_path, "grandchild"), timeout_s=1.0)
    assert found.state is EngineState.INCOMPATIBLE  # its output never ended
    assert left_of([one for one in psutil.process_iter() if _has_sleep(one)], 5) == []


def test_a_good_binary_is_ready_with_version_and_devices(tmp_path: Path) -> None:
    found = report(make_llama_server(tmp_path, "gpu"))
    assert (found.state, found.version, found.message) == (EngineState.READY, "b11549 (0a1b2c3)", None)
    assert [device.name for device in found.devices] == ["CUDA0: NVIDIA GeForce RTX 4090"]
    assert found.has_llguidance


def test_a_build_without_llguidance_is_ready_and_says_what_it_lacks(tmp_path: Path) -> None:
    found = report(make_llama_server(tmp_path, has_llguidance=False))
    assert found.is_ready
    assert not found.has_llguidance
    assert "-DLLAMA_LLGUIDANCE=ON" in found.message


def test_a_binary_is_asked_again_when_its_file_changes_and_after_a_failure(tmp_path: Path) -> None:
    now = [0.0]

    async def look() -> None:
        engine = LlamaServer("test", make_llama_server(tmp_path, "fails"), clock=lambda: now[0])
        assert not (await engine.report()).is_ready
        make_llama_server(tmp_path)
        assert (await engine.report()).is_ready
        engine = LlamaServer("test", tmp_path / "later" / "llama-server", clock=lambda: now[0])
        assert (await engine.report()).state is EngineState.MISSING
        make_llama_server(tmp_path / "later")
        assert (await engine.report()).is_ready
        now[0] += FAILURE_REUSE_S

    anyio.run(look)


def _running_from(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return left_of(found, 5)


def _has_sleep(process: psutil.Process) -> bool:
    try:
        return process.cmdline() == ["sleep", "600"]
    except psutil.Error:
        return False


# --- in the service -------------------------------------------------------------------------------------


def engines_of(service: Service) -> dict[str, Any]:
    answer = service.get("/engines").json()
    assert answer["total_count"] == len(answer["engines"])
    return {one["name"]: one for one in answer["engines"]}


def test_engines_are_listed_with_their_devices_and_state(home: Path, tmp_path: Path) -> None:
    gpu, broken = make_llama_server(tmp_path / "gpu", "gpu"), tmp_path / "none" / "llama-server"
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"cuda={gpu},broken={broken}") as service:
        found = engines_of(service)
        assert list(found) == ["built-in", "broken", "cuda"]
        assert service.get("/engines").json()["current"] == "built-in"
    assert (found["built-in"]["kind"], found["built-in"]["state"]) == ("built-in", "ready")
    assert [device["kind"] for device in found["built-in"]["devices"]] == ["cpu"]
    assert found["cuda"] == {
        "name": "cuda",
        "kind": "llama-server",
        "version": "b11549 (0a1b2c3)",
        "devices": [
            {
                "name": "CUDA0: NVIDIA GeForce RTX 4090",
                "kind": "gpu",
                "memory_bytes": 24217 << 20,
                "free_bytes": 23500 << 20,
            }
        ],
        "state": "ready",
        "message": None,
        "action": None,
    }
    assert found["broken"]["state"] == "missing"
    assert found["broken"]["action"]


def test_a_model_runs_on_a_binary_and_ends_with_it(home: Path, tmp_path: Path) -> None:
    binary = make_llama_server(tmp_path / "other")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"other={binary}") as service:
        service.start(options={"engine": "other", "context_size": 2048, "threads": 2, "gpu_layers": 0})
        assert service.get("/engines").json()["current"] == "other"
        with service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}]}
            assert gateway.post("/v1/chat/completions", json=body).status_code == 200
        processes = _running_now(binary)
        assert len(processes) == 1
        line = " ".join(processes[0].cmdline())
        for flags in (
            "--ctx-size 2048 --kv-unified",
            "--threads 2",
            "--gpu-layers 0",
            "--offline",
            "--cache-ram",
        ):
            assert flags in line
        assert service.post("/stop").status_code == 200
        assert left_of(processes, 5) == []


def test_a_binary_that_dies_is_restarted_and_its_exit_is_told(home: Path, tmp_path: Path) -> None:
    binary = make_llama_server(tmp_path / "other")
    store_tiny_model(home)
    environment = {"FOUNDRYLOCAL_ENGINES": f"other={binary}", "FOUNDRYLOCAL_ENGINE": "other"}
    with running(
        home, worker=FAKE_WORKER, FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="[0]", **environment
    ) as service:
        service.start(options={"health_check_interval_seconds": 1})
        (first,) = _running_now(binary)
        first.kill()
        eventually("another one runs", lambda: [one for one in _running_now(binary) if one != first], 30)
        eventually("it serves again", lambda: service.status()["loaded_model_id"], 30)
        log = service.get("/logs", params={"count": 1000}).text
    assert "SIGKILL" in log


def test_no_binary_outlives_a_service_that_was_killed(home: Path, tmp_path: Path) -> None:
    binary = make_llama_server(tmp_path / "other", "hangs-at-stop")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"other={binary}") as service:
        service.start(options={"engine": "other"})
        processes = _running_now(binary)
        assert processes
        service.process.kill()
        service.process.wait(20)
        assert left_of(processes, 10) == []


def test_a_binary_that_ignores_the_request_to_stop_is_killed(home: Path, tmp_path: Path) -> None:
    binary = make_llama_server(tmp_path / "other", "hangs-at-stop")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"other={binary}") as service:
        service.start(options={"engine": "other"})
        processes = _running_now(binary)
        assert service.post("/stop").status_code == 200
        assert left_of(processes, 1) == []


def test_a_start_on_an_engine_that_cannot_run_is_refused_before_anything_is_done(
    home: Path, tmp_path: Path
) -> None:
    old = make_llama_server(tmp_path / "old", "old")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"old={old}") as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL, "options": {"engine": "nothing"}})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "engine")
        for name, says in (("old", "is too old"),):
            answer = service.post("/start", {"model_name": CHAT_MODEL, "options": {"engine": name}})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (
                412,
                "engine_unavailable",
                "engine",
            )
            assert says in error["details"]
        assert service.status()["status"] == "stopped"


def test_a_preset_with_an_engine_or_a_draft_model_that_does_not_fit_names_the_field(home: Path) -> None:
    store_tiny_model(home)
    path = f"/models/{CHAT_MODEL}/preset"
    with running(home, worker=FAKE_WORKER) as service:
        for field, value in (("engine", "nothing"), ("speculative", {"draft_model": "nothing"})):
            answer = service.post(path, {field: value})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text
        assert service.get(path).json()["saved"] == {}
        assert service.post(path, {"speculative": "ngram"}).status_code == 200


def test_layers_without_a_gpu_are_told_or_refused_when_strict(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        body = {"model_name": CHAT_MODEL, "options": {"gpu_layers": 20, "strict": True}}
        refused = service.post("/start", body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "options.gpu_layers")
        assert "the engine 'built-in' found no GPU" in refused.json()["error"]["details"]
        assert service.post(f"/models/{CHAT_MODEL}/preset", {"gpu_layers": 20}).status_code == 200
        preset = service.get(f"/models/{CHAT_MODEL}/preset").json()
    assert (preset["saved"]["gpu_layers"], preset["effective"]["gpu_layers"]) == (20, 0)


def test_a_load_that_fails_in_the_binary_says_why(home: Path, tmp_path: Path) -> None:
    binary = make_llama_server(tmp_path / "other", "exits-at-load")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"other={binary}") as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL, "options": {"engine": "other"}})
    error = answer.json()["error"]
    assert "does not know the model's architecture 'made-up'" in f"{error.get('reason')} {error['details']}"
    assert str(home) not in answer.text


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_a_build_without_llguidance_cannot_enforce_is_refused(
    home: Path, tmp_path: Path, is_stream: bool
) -> None:
    binary = make_llama_server(tmp_path / "other", has_llguidance=False)
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=f"other={binary}") as service:
        service.start(options={"engine": "other"})
        with service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}], "stream": is_stream}
            assert gateway.post("/v1/chat/completions", json=body).status_code == 200
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
            answer = gateway.post("/v1/chat/completions", json=body | {"response_format": form})
    assert answer.status_code == 400
    assert "-DLLAMA_LLGUIDANCE=ON" in answer.json()["error"]["message"]


def test_an_engine_that_the_command_line_adds_is_there_without_a_restart(home: Path, tmp_path: Path) -> None:
    good, old = make_llama_server(tmp_path / "good", "gpu"), make_llama_server(tmp_path / "old", "old")
    with running(home, worker=FAKE_WORKER) as service:
        added = _engine_verb(home, "add", "mine", str(good))
        assert added.returncode == 0, added.stderr
        assert "CUDA0: NVIDIA GeForce RTX 4090" in added.stdout
        assert list(engines_of(service)) == ["built-in", "mine"]
        assert service.post("/config", {"default_log_level": "DEBUG"}).status_code == 200
        assert list(engines_of(service)) == ["built-in", "mine"]  # an update of the service keeps it

        refused = _engine_verb(home, "add", "old", str(old))
        assert refused.returncode == 1
        assert "is too old" in refused.stderr
        assert list(engines_of(service)) == ["built-in", "mine"]
        assert _engine_verb(home, "add", "old", str(old), "--force").returncode == 0
        assert engines_of(service)["old"]["state"] == "incompatible"

        listed = _engine_verb(home, "list").stdout
        assert "built-in (current)" in listed
        assert "old: llama-server is too old" in listed
        for name in ("mine", "old"):
            assert _engine_verb(home, "rm", name).returncode == 0
        assert list(engines_of(service)) == ["built-in"]
        assert _engine_verb(home, "rm", "mine").returncode == 1
        assert _engine_verb(home, "add", "a b", str(good)).returncode == 2
    assert service.process.returncode == 0


def _engine_verb(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
    return subprocess.run(
        [sys.executable, "-m", "foundrylocal", "engine", *arguments],
        env=kept | {"FOUNDRYLOCAL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_engines_cannot_be_changed_over_http(home: Path, tmp_path: Path) -> None:
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.post("/config", {"engines": {"x": str(make_llama_server(tmp_path))}})
        assert answer.status_code == 400
        assert list(engines_of(service)) == ["built-in"]


def _running_now(binary: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if str(binary) in line and "--model" in line:
            found.append(process)
    return found
