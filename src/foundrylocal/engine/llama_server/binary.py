"""Whether a file can be a program for this machine, judged without running it: is it there, executable, and of the
right format and processor architecture.

Invariant: nothing is executed here, and at most `HEADER_BYTES` of the file are read.
"""

from __future__ import annotations

import os
import platform
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.engine.engine import EngineState

HEADER_BYTES = 4096
_ELF, _PE, _SCRIPT = b"\x7fELF", b"MZ", b"#!"
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_ELF_MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_PE_MACHINES = {0x014C: "i386", 0x8664: "x86_64", 0xAA64: "aarch64"}
_SAME_AS = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64", "i686": "i386", "i586": "i386"}
_SYSTEMS = {"ELF": "Linux", "PE": "Windows", "Mach-O": "macOS"}
_GET_BUILD = "Download or build llama-server for {system} on {machine}, then add that one."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a binary cannot be used, and what to do about it."""

    state: EngineState
    message: str
    action: str


def find_problem(path: Path) -> Problem | None:
    """What keeps the file from being run here; None when nothing does. Blocking."""
    try:
        found = path.stat()
    except OSError as error:
        return Problem(
            EngineState.MISSING,
            f"The file {path.name} cannot be found: {error.strerror or error}.",
            "Correct its path, or remove it: foundrylocal engine rm NAME.",
        )
    if not stat.S_ISREG(found.st_mode):
        return _incompatible(
            f"{path.name} is not a file.", "Give the path of the llama-server binary itself."
        )
    if not os.access(path, os.X_OK):
        return _incompatible(f"{path.name} is not executable.", f"Make it executable: chmod +x {path.name}.")
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        return _incompatible(
            f"{path.name} cannot be read: {error.strerror or error}.", "Give this account read access to it."
        )
    return format_problem(path.name, header, sys.platform, platform.machine())


def format_problem(name: str, header: bytes, system: str, machine: str) -> Problem | None:
    """What is wrong with a program that begins with `header`, on that `sys.platform` and processor."""
    kind, built_for = _read_header(header)
    here = {"linux": "ELF", "win32": "PE", "darwin": "Mach-O"}.get(system, kind)
    wanted = _GET_BUILD.format(
        system=_SYSTEMS.get(here or "", "this system"), machine=machine or "this machine"
    )
    if kind is None:
        return _incompatible(f"{name} is not a program.", wanted)
    if kind == "script":
        return None if system != "win32" else _incompatible(f"{name} is a script for other systems.", wanted)
    if kind != here:
        return _incompatible(f"{name} is a program for {_SYSTEMS[kind]}.", wanted)
    own = _SAME_AS.get(machine.lower(), machine.lower())
    # A 64-bit x86 system may run 32-bit programs: whether this one does, it says when it is asked its version.
    if built_for is None or not own or built_for == own or (built_for, own) == ("i386", "x86_64"):
        return None
    return _incompatible(f"{name} is built for {built_for}; this machine is {own}.", wanted)


def _read_header(header: bytes) -> tuple[str | None, str | None]:
    """The format of a program and the processor it is built for, as far as its header says."""
    if header.startswith(_SCRIPT):
        return "script", None
    if header.startswith(_ELF) and len(header) >= 20:
        order = "<" if header[5] == 1 else ">"
        number = struct.unpack_from(f"{order}H", header, 18)[0]
        return "ELF", _ELF_MACHINES.get(number, f"another processor (ELF machine {number})")
    if header.startswith(_PE) and len(header) >= 64:
        return "PE", _pe_machine(header)
    if header.startswith(_MACH_O):
        return "Mach-O", None  # may hold several architectures; macOS says which it can run
    return None, None


def _pe_machine(header: bytes) -> str | None:
    at = struct.unpack_from("<I", header, 60)[0]
    if at + 6 > len(header):
        return None
    return _PE_MACHINES.get(struct.unpack_from("<H", header, at + 4)[0])


def _incompatible(message: str, action: str) -> Problem:
    return Problem(EngineState.INCOMPATIBLE, message, action)
