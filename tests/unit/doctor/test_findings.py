"""The doctor on broken machines: each trouble is one clear line that says what to do."""

from __future__ import annotations

import socket
import ssl
import urllib.error
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from foundrylocal.doctor import engine, network, ports, storage
from foundrylocal.doctor.engine import AboutEngine
from foundrylocal.doctor.finding import Finding, Level
from foundrylocal.doctor.network import HubAnswer
from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.errors import InsufficientMemory, ServerStartFailed

GB = 1024**3
CACHE = Path("/models")
HUB = "https://hub.example"
X86 = ("avx", "avx2", "fma")


def folder(problem: str | None) -> Finding:
    return storage.check_folder(CACHE, "choose another one", lambda place: problem)


def space(free_bytes: int | OSError) -> Finding:
    def free(place: Path) -> int:
        if isinstance(free_bytes, OSError):
            raise free_bytes
        return free_bytes

    return storage.check_space(CACHE, GB // 4, free)


def memory(available: int, budget: int | None = None) -> Finding:
    return storage.check_memory(available, 8 * GB, GB // 2, budget, GB // 8)


def port(problem: str | None, *, is_ours: bool = False, number: int = 1234) -> Finding:
    return ports.check_port(
        "localhost", number, "port", is_ours=is_ours, bind_problem=lambda host, port: problem
    )


def hub(answer: HubAnswer, **environment: str) -> Finding:
    return network.check_hub(HUB, environment, lambda: answer)


def unreachable(reason: Exception) -> Finding:
    return hub(HubAnswer(None, urllib.error.URLError(reason)))


def untrusted(why: str) -> ssl.SSLCertVerificationError:
    failure = ssl.SSLCertVerificationError(1, "certificate verify failed")
    failure.verify_message = why
    return failure


def starter(outcome: float | Exception | None) -> Finding:
    async def load() -> float | None:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return anyio.run(engine.check_starter, "Tiny", load)


GPU = Device("RTX", DeviceKind.GPU, 8 * GB, 7 * GB)
HEALTHY: dict[str, Callable[[], Finding]] = {
    "folder": lambda: folder(None),
    "space": lambda: space(50 * GB),
    "memory": lambda: memory(4 * GB),
    "port": lambda: port(None),
    "own port": lambda: port("python3 listens on it", is_ours=True),
    "any port": lambda: port("python3 listens on it", number=0),
    "engine": lambda: engine.check_engine(AboutEngine("2026.10", X86)),
    "processor": lambda: engine.check_processor(AboutEngine("1", X86), X86, "x86_64"),
    "processor that is not described": lambda: engine.check_processor(AboutEngine("1", X86), (), "arm64"),
    "no GPU": lambda: engine.check_devices([], []),
    "GPU": lambda: engine.check_devices([GPU], ["an NVIDIA GPU"]),
    "starter": lambda: starter(0.4),
    "clock": lambda: network.check_clock(1e9, 2e9, HubAnswer(200, None, 12.0)),
    "clock without a hub": lambda: network.check_clock(2e9, 1e9, None),
    "no proxy": lambda: network.check_proxy({}),
    "proxy": lambda: network.check_proxy(
        {"HTTPS_PROXY": "http://u:secret@proxy:8080", "NO_PROXY": "a, localhost"}
    ),
    "hub": lambda: hub(HubAnswer(200)),
    "hub that wants a login": lambda: hub(HubAnswer(401)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_machine_has_nothing_to_do(name: str) -> None:
    finding = HEALTHY[name]()
    assert (finding.level, finding.action) == (Level.OK, None)
    assert "secret" not in finding.message


OLD = AboutEngine("2026.10", X86)
BROKEN: dict[str, tuple[Callable[[], Finding], Level, str, str]] = {
    "read-only cache": (lambda: folder("Read-only file system"), Level.ERROR, "/models cannot be written", "another"),
    "no space": (lambda: space(GB // 8), Level.ERROR, "No space", "cache_dir"),
    "little space": (lambda: space(2 * GB), Level.WARNING, "2.0 GB free", "foundrylocal rm"),
    "disk gone": (lambda: space(OSError(5, "Input/output error")), Level.ERROR, "Input/output", "mounted"),
    "no memory": (lambda: memory(GB // 2), Level.ERROR, "even for the starter", "Close other programs"),
    "small budget": (lambda: memory(4 * GB, GB // 16), Level.ERROR, "even for the starter", "memory_budget_mb"),
    "little memory": (lambda: memory(GB), Level.WARNING, "Little memory", "Close other programs"),
    "port taken": (lambda: port("nginx (pid 7) listens on it"), Level.ERROR, "nginx (pid 7)", "config port=PORT"),
    "old processor": (
        lambda: engine.check_processor(OLD, ("avx", "pni"), "x86_64"), Level.ERROR, "lacks AVX2, FMA", "engine add"),
    "processor that kills the engine": (
        lambda: engine.check_engine(AboutEngine(problem="x", is_illegal_instruction=True)),
        Level.ERROR, "lacks an instruction", "engine add"),
    "engine missing": (
        lambda: engine.check_engine(AboutEngine(problem="ModuleNotFoundError: No module named 'xllamacpp'")),
        Level.ERROR, "No module named", "pip install"),
    "engine without a library": (
        lambda: engine.check_engine(AboutEngine(problem="ImportError: libgomp.so.1: cannot open shared object file")),
        Level.ERROR, "libgomp.so.1", "apt-get install libgomp1"),
    "GPU that is not used": (
        lambda: engine.check_devices([], ["an NVIDIA GPU"]), Level.WARNING, "an NVIDIA GPU", "engine add"),
    "starter not downloaded": (lambda: starter(None), Level.WARNING, "not downloaded", "foundrylocal pull Tiny"),
    "starter slow": (lambda: starter(40.0), Level.WARNING, "40.0 s", "slow"),
    "starter fails": (lambda: starter(ServerStartFailed("No such file.")), Level.ERROR, "No such file", "logs"),
    "starter has no room": (
        lambda: starter(InsufficientMemory("1 GB", "0 B")), Level.WARNING, "free: 0 B", "Unload models"),
    "clock a day ahead": (
        lambda: network.check_clock(1e9, 0, HubAnswer(200, None, 86_400.0)),
        Level.ERROR, "24 hours ahead", "timedatectl"),
    "clock behind": (
        lambda: network.check_clock(1e9, 0, HubAnswer(200, None, -600.0)),
        Level.ERROR, "10 minutes behind", "timedatectl"),
    "clock in the past, no hub": (
        lambda: network.check_clock(0.0, 1.7e9, HubAnswer(None)), Level.ERROR, "1970-01-01", "timedatectl"),
    "proxy takes local requests": (
        lambda: network.check_proxy({"http_proxy": "http://proxy:8080"}), Level.WARNING, "localhost", "NO_PROXY="),
    "proxy misspelled": (
        lambda: network.check_proxy({"HTTPS_PROXY": "http://proxy:eight"}),
        Level.ERROR, "not a number", "http://HOST:PORT"),
    "offline": (lambda: hub(HubAnswer(200), HF_HUB_OFFLINE="1"), Level.WARNING, "HF_HUB_OFFLINE", "Unset"),
    "no name service": (
        lambda: unreachable(socket.gaierror(-2, "unknown")), Level.WARNING, "resolved", "on disk"),
    "no network": (lambda: unreachable(OSError(101, "Network is unreachable")), Level.WARNING, "Network is", "proxy"),
    "silent hub": (lambda: unreachable(TimeoutError()), Level.WARNING, "no answer within", "proxy"),
    "TLS inspected": (
        lambda: unreachable(untrusted("self-signed certificate")), Level.WARNING, "self-signed", "SSL_CERT"),
    "TLS and the clock": (
        lambda: unreachable(untrusted("certificate is not yet valid")), Level.WARNING, "clock", "Set the clock"),
    "proxy wants a password": (lambda: hub(HubAnswer(407)), Level.WARNING, "password", "HTTPS_PROXY"),
    "hub is down": (lambda: hub(HubAnswer(503)), Level.WARNING, "answers 503", "later"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_machine_gets_one_clear_line(name: str) -> None:
    look, level, message, action = BROKEN[name]
    finding = look()
    assert finding.level is level
    assert message in finding.message
    assert action in (finding.action or "")
    assert "\n" not in finding.message
    assert finding.message.endswith((".", ")"))


def test_an_offline_machine_asks_nobody() -> None:
    def ask() -> HubAnswer:
        raise AssertionError

    assert network.check_hub(HUB, {"HF_HUB_OFFLINE": "1"}, ask).level is Level.WARNING
