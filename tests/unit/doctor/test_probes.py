"""The probes behind the checks, at the real edge: files, sockets, processes."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from foundrylocal.doctor import engine, local, network, ports, storage
from foundrylocal.doctor.finding import Level
from foundrylocal.kit.clock import now_s


def test_a_folder_is_tried_by_writing_and_left_as_it_was(tmp_path: Path) -> None:
    assert storage.write_problem(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    assert storage.write_problem(tmp_path / "a" / "b") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert "not a folder" in (storage.write_problem(tmp_path / "cache") or "")
    assert "not a folder" in (storage.write_problem(tmp_path / "cache" / "models") or "")


def test_a_port_in_use_names_its_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "listens on it" in (ports.bind_problem("127.0.0.1", port) or "")
    assert ports.bind_problem("127.0.0.1", port) is None


def test_an_address_of_another_machine() -> None:
    assert "Cannot listen" in (ports.bind_problem("192.0.2.1", 1234) or "")


@pytest.fixture
def hub() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_hub_is_asked_once_and_no_redirect_is_followed(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    ask = network.hub_asker(hub, lambda: now_s() + 3600)
    answer = ask()
    assert answer.status == 302
    assert answer.clock_offset_s == pytest.approx(3600, abs=60)
    assert ask() is answer


def test_a_hub_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = network.ask_hub(f"http://127.0.0.1:{port}", now_s)
    assert answer.status is None
    assert network.check_hub("http://127.0.0.1", {}, lambda: answer).level is Level.WARNING
    assert network.ask_hub("file:///etc/passwd", now_s).status is None


def about(program: str) -> engine.AboutEngine:
    return anyio.run(engine.ask_engine, (sys.executable, "-c", program))


def test_what_an_engine_says_of_itself() -> None:
    told = about("""print('{"version": "7", "instruction_sets": ["avx2"]}')""")
    assert told == engine.AboutEngine("7", ("avx2",))


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import no_such_engine", "No module named 'no_such_engine'"),
        ("raise SystemExit(3)", "exited with code 3"),
        ("print('hello')", "cannot be read"),
    ],
)
def test_an_engine_that_says_nothing(program: str, problem: str) -> None:
    assert problem in (about(program).problem or "")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_an_engine_that_the_processor_cannot_run() -> None:
    assert about("import os, signal; os.kill(os.getpid(), signal.SIGILL)").is_illegal_instruction


def test_instruction_sets_of_a_library() -> None:
    from foundrylocal.doctor.engine import _CPU_FLAGS
    from foundrylocal.worker.about import INSTRUCTION_SETS, instruction_sets

    class Library:
        ggml_cpu_has_avx = staticmethod(lambda: 1)
        ggml_cpu_has_avx2 = staticmethod(lambda: 0)

    assert instruction_sets(Library()) == ["avx"]
    assert set(INSTRUCTION_SETS) == set(_CPU_FLAGS)


def test_flags_of_a_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nflags : other\n")
    assert engine.read_cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "fma"}
    assert engine.read_cpu_flags(tmp_path / "absent") == frozenset()


def test_signs_of_a_gpu(tmp_path: Path) -> None:
    assert engine.find_gpu_signs(tmp_path) == []
    (tmp_path / "proc/driver/nvidia/gpus").mkdir(parents=True)
    assert engine.find_gpu_signs(tmp_path) == ["an NVIDIA GPU"]


@pytest.mark.parametrize(
    ("saved", "level"),
    [
        ("{}", Level.OK),
        ('{"port": 1300}', Level.OK),
        ('{"port": -1}', Level.ERROR),
        ("[", Level.ERROR),
        ("[]", Level.ERROR),
    ],
)
def test_saved_settings_are_read_and_left_alone(tmp_path: Path, saved: str, level: Level) -> None:
    (tmp_path / "config.json").write_text(saved)
    settings, finding = local.read_settings(tmp_path)
    assert finding.level is level
    assert settings.port == (1300 if "1300" in saved else 1234)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_variable_that_is_not_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_PARALLEL", "many")
    _, finding = local.read_settings(tmp_path)
    assert finding.level is Level.ERROR
    assert "parallel" in finding.message
