"""Checks of the engine: whether it runs here, its instruction sets, its devices, and how soon a model loads."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec

from foundrylocal.doctor.finding import Finding, error, ok, warning
from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.environment import worker_environment
from foundrylocal.engine.missing_library import how_to_install
from foundrylocal.errors import FoundryLocalError, InsufficientMemory
from foundrylocal.kit.sizes import format_bytes

COMMAND = (sys.executable, "-P", "-m", "foundrylocal.worker.about")
ANSWER_TIMEOUT_S = 20.0
LOAD_TIMEOUT_S = 60.0
SLOW_LOAD_S = 15.0
REINSTALL = "Install it again: pip install --force-reinstall xllamacpp."
# The words of /proc/cpuinfo for the engine's names of instruction sets.
_CPU_FLAGS = {
    "sse3": "pni", "ssse3": "ssse3", "avx": "avx", "avx2": "avx2", "f16c": "f16c", "fma": "fma", "bmi2": "bmi2",
    "avx_vnni": "avx_vnni", "avx512": "avx512f", "avx512_vbmi": "avx512vbmi", "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16", "amx_int8": "amx_int8", "neon": "asimd", "arm_fma": "asimd", "fp16_va": "asimdhp",
    "dotprod": "asimddp", "matmul_int8": "i8mm", "sve": "sve", "sme": "sme",
}  # fmt: skip
_GPU_SIGNS = {
    "an NVIDIA GPU": "/proc/driver/nvidia/gpus",
    "an AMD GPU": "/dev/kfd",
}


@dataclass(frozen=True, slots=True)
class AboutEngine:
    """What the engine's process said, or `problem`: why it said nothing."""

    version: str = ""
    instruction_sets: tuple[str, ...] = ()
    problem: str | None = None
    is_illegal_instruction: bool = False


async def ask_engine(command: Sequence[str] = COMMAND) -> AboutEngine:
    """Ask the engine about itself in a process of its own; bounded by ANSWER_TIMEOUT_S."""
    try:
        with anyio.fail_after(ANSWER_TIMEOUT_S):
            answer = await anyio.run_process(
                command, check=False, stderr=subprocess.PIPE, env=worker_environment(os.environ)
            )
    except OSError as failure:
        if isinstance(failure, TimeoutError):
            return AboutEngine(problem=f"it did not answer within {ANSWER_TIMEOUT_S:g} s")
        return AboutEngine(problem=f"no process can be started: {failure.strerror or failure}")
    if answer.returncode:
        return _failed(answer.returncode, answer.stderr.decode("utf-8", "replace"))
    try:
        return msgspec.json.decode(answer.stdout, type=AboutEngine)
    except msgspec.DecodeError:
        return AboutEngine(problem="its answer cannot be read")


def _failed(code: int, printed: str) -> AboutEngine:
    if sys.platform != "win32" and code == -signal.SIGILL:
        return AboutEngine(problem="illegal instruction", is_illegal_instruction=True)
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return AboutEngine(problem=lines[-1] if lines else f"it exited with code {code}")


def check_engine(about: AboutEngine) -> Finding:
    """Whether the built-in engine can be loaded at all."""
    if about.is_illegal_instruction:
        return error(
            "The engine crashed: this processor lacks an instruction that it needs.",
            "Use a llama-server built for this processor: foundrylocal engine add NAME PATH.",
        )
    if about.problem is not None:
        return error(
            f"The engine cannot be loaded: {about.problem}.", how_to_install(about.problem) or REINSTALL
        )
    return ok(f"The built-in engine is llama.cpp in xllamacpp {about.version}.")


def check_processor(about: AboutEngine, cpu_flags: Iterable[str], machine: str) -> Finding:
    """Whether the processor has the instruction sets that the engine was built for; `machine` is its architecture."""
    flags = set(cpu_flags)
    if not flags:
        return ok(f"{machine}; the system does not list its instruction sets.")
    missing = [
        name for name in about.instruction_sets if name in _CPU_FLAGS and _CPU_FLAGS[name] not in flags
    ]
    if missing:
        return error(
            f"This processor is too old for the built-in engine: it lacks {', '.join(map(_written, missing))}.",
            "Use a llama-server built for this processor: foundrylocal engine add NAME PATH.",
        )
    used = ", ".join(map(_written, about.instruction_sets))
    return ok(f"{machine}; the engine uses {used}." if used else f"{machine}.")


def _written(name: str) -> str:
    return name.upper().replace("_", "-")


def read_cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets that Linux lists; empty elsewhere. Blocking."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def machine_name() -> str:
    """The architecture and the number of logical cores: `x86_64 with 2 cores`."""
    return f"{platform.machine()} with {os.cpu_count() or 1} cores"


def check_devices(devices: Sequence[Device], gpu_signs: Sequence[str]) -> Finding:
    """What models run on; `gpu_signs` are GPUs that the system shows, whether the engine can use them or not."""
    gpus = [device for device in devices if device.kind in (DeviceKind.GPU, DeviceKind.INTEGRATED)]
    if gpus:
        shown = ", ".join(f"{gpu.name} ({format_bytes(gpu.memory_bytes)})" for gpu in gpus)
        return ok(f"Models run on {shown}.")
    if gpu_signs:
        return warning(
            f"This machine has {' and '.join(gpu_signs)}, but the built-in engine uses the processor only.",
            "Use a llama-server built for the GPU: foundrylocal engine add NAME PATH.",
        )
    return ok("Models run on the processor; there is no GPU.")


def find_gpu_signs(root: Path = Path("/")) -> list[str]:
    """GPUs that Linux shows by their drivers. Blocking."""
    return [name for name, sign in _GPU_SIGNS.items() if (root / sign.lstrip("/")).exists()]


async def check_starter(name: str, load: Callable[[], Awaitable[float | None]]) -> Finding:
    """How long the starter model takes to load; `load` returns seconds, or None when it is not downloaded."""
    try:
        seconds = await load()
    except InsufficientMemory as failure:
        return warning(
            f"The starter model was not loaded, for lack of memory: {failure.details}",
            "Unload models (foundrylocal stop), or close other programs.",
        )
    except FoundryLocalError as failure:
        reason = f"{failure.message}. {failure.details or ''}".strip()
        return error(f"The starter model does not load: {reason}", "See foundrylocal logs.")
    if seconds is None:
        return warning(
            "The starter model is not downloaded, so loading could not be tried.", f"foundrylocal pull {name}"
        )
    text = f"The starter model was loaded in {seconds:.1f} s."
    if seconds > SLOW_LOAD_S:
        return warning(text, "The disk or the processor is slow or busy: close other programs.")
    return ok(text)
