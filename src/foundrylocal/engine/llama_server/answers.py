"""What the answers of a `llama-server` binary to `--version`, `--help` and `--list-devices` mean: pure functions.

The words are llama.cpp's. Invariant: expressions are linear and the texts bounded, so that no output of a binary,
however odd, takes long to read.
"""

from __future__ import annotations

import re
import signal

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.engine import EngineState
from foundrylocal.engine.llama_server.binary import Problem
from foundrylocal.engine.llama_server.probe import ProbeAnswer

# Without these the service cannot keep what it promises: one context for all slots, bounded memory, private access.
REQUIRED_FLAGS = frozenset(
    {
        "--alias",
        "--api-key-file",
        "--batch-size",
        "--cache-ram",
        "--cache-type-k",
        "--cache-type-v",
        "--ctx-size",
        "--embedding",
        "--flash-attn",
        "--gpu-layers",
        "--host",
        "--kv-unified",
        "--mmproj",
        "--model",
        "--offline",
        "--parallel",
        "--port",
        "--reranking",
        "--threads",
        "--threads-batch",
        "--threads-http",
        "--ubatch-size",
    }
)
UPDATE = "Install a newer llama-server (llama.cpp of late 2025 or newer) and add that one."

# `version: 9870 (6fb2f2d)`, and since late 2026 `version: 0.6.0 (build 11434, commit 6fb2f2d)`.
_VERSION = re.compile(
    r"^version: (?P<version>[0-9][0-9A-Za-z.+-]{0,40}) "
    r"\((?:build (?P<build>[0-9]{1,9}), commit )?(?P<commit>[0-9A-Za-z]{1,40})\)",
    re.MULTILINE,
)
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]{1,60}")
# `  CUDA0: NVIDIA H200 (143771 MiB, 143000 MiB free)`
_DEVICE = re.compile(
    r"^ {1,8}(?P<id>[A-Za-z0-9_]{1,40}): (?P<name>.{1,200}) "
    r"\((?P<total>\d{1,12}) MiB, (?P<free>\d{1,12}) MiB free\)\s{0,4}$"
)
_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: ([\w.+-]{1,100})")
_INTEGRATED = re.compile(r"\b(?:iGPU|Integrated|UHD Graphics|Iris|Radeon Graphics|Apple M\d)", re.IGNORECASE)
_MAX_DEVICES = 64
_MIB = 1024 * 1024


def read_version(text: str) -> str | None:
    """`b9870 (6fb2f2d)` or `0.6.0 b11434 (6fb2f2d)`; a build outside a repository has neither number nor commit."""
    found = _VERSION.search(text)
    if found is None:
        return None
    version, build, commit = found["version"], found["build"], found["commit"]
    if build is None:
        version, build = "", version
    parts = [version, f"b{build}" if build != "0" else "", f"({commit})" if commit != "unknown" else ""]
    return " ".join(part for part in parts if part) or "unknown"


def read_flags(text: str) -> frozenset[str]:
    """The options that `--help` describes."""
    return frozenset(_FLAG.findall(text))


def read_devices(text: str) -> tuple[Device, ...]:
    """The devices that `--list-devices` prints; the processor is not among them."""
    devices: list[Device] = []
    for line in text.splitlines():
        found = _DEVICE.match(line[:400])
        if found is None or len(devices) == _MAX_DEVICES:
            continue
        devices.append(
            Device(
                name=f"{found['id']}: {found['name']}",
                kind=_device_kind(found["id"], found["name"]),
                memory_bytes=int(found["total"]) * _MIB,
                free_bytes=int(found["free"]) * _MIB,
            )
        )
    return tuple(devices)


def _device_kind(device_id: str, name: str) -> DeviceKind:
    """INTEGRATED shares the machine's memory: Metal always does, others by their name."""
    if device_id.upper().startswith(("BLAS", "RPC", "HEXAGON", "CANN")):
        return DeviceKind.ACCELERATOR
    is_integrated = device_id.startswith(("Metal", "MTL")) or _INTEGRATED.search(name)
    return DeviceKind.INTEGRATED if is_integrated else DeviceKind.GPU


def version_problem(name: str, answer: ProbeAnswer, timeout_s: float) -> Problem | None:
    """What is wrong with a binary that answered `--version` like this; None when nothing is."""
    problem = answer_problem(name, "--version", answer, timeout_s)
    if problem is None and read_version(answer.text) is None:
        return _incompatible(
            f"{name} does not report a llama.cpp version, so it is not a llama-server.",
            "Give the path of a llama-server binary.",
        )
    return problem


def answer_problem(name: str, argument: str, answer: ProbeAnswer, timeout_s: float) -> Problem | None:
    """Why a binary did not answer, whatever it was asked; None when it did."""
    if answer.start_error is not None:
        return _incompatible(
            f"{name} cannot be started: {answer.start_error}.", "Install a build for this machine."
        )
    if answer.exit_code is None:
        return _incompatible(
            f"{name} {argument} did not finish within {timeout_s:g} s.",
            "Run it in a terminal to see what it waits for; a GPU driver that hangs is a common cause.",
        )
    if found := _MISSING_LIBRARY.search(answer.text):
        return _incompatible(
            f"{name} needs the library {found[1]}, which this machine does not have.",
            "Install it (for a GPU build: the GPU's runtime), or put it beside the binary.",
        )
    if answer.exit_code < 0:
        return _crashed(name, argument, -answer.exit_code)
    if answer.exit_code != 0:
        return _incompatible(
            f"{name} {argument} failed with exit code {answer.exit_code}.", "Run it in a terminal to see why."
        )
    return None


def _crashed(name: str, argument: str, number: int) -> Problem:
    signal_name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if signal_name == "SIGILL":
        return _incompatible(
            f"{name} uses instructions that this processor does not have.",
            "Install a build for this processor, or one that chooses its instructions when it starts.",
        )
    return _incompatible(
        f"{name} {argument} crashed with {signal_name}.",
        "Run it in a terminal to see why; then install a build that works here.",
    )


def flags_problem(name: str, flags: frozenset[str]) -> Problem | None:
    """Whether the binary is too old; None when it has all that the service uses."""
    lacking = sorted(REQUIRED_FLAGS - flags)
    if not lacking:
        return None
    shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
    return _incompatible(f"{name} is too old: it has no {shown}.", UPDATE)


def _incompatible(message: str, action: str) -> Problem:
    return Problem(EngineState.INCOMPATIBLE, message, action)
