"""What keeps a file from being run here, judged without running it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from foundrylocal.engine.engine import EngineState
from foundrylocal.engine.llama_server.binary import find_problem, format_problem


def elf(machine: int, order: str = "<") -> bytes:
    return b"\x7fELF" + bytes([2, 1 if order == "<" else 2]) + bytes(12) + struct.pack(f"{order}H", machine)


def pe(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine)


MACH_O = b"\xcf\xfa\xed\xfe" + bytes(28)


@pytest.mark.parametrize(
    ("header", "system", "machine", "says"),
    [
        (elf(62), "linux", "x86_64", None),
        (elf(183), "linux", "aarch64", None),
        (elf(22, ">"), "linux", "s390x", None),
        (elf(3), "linux", "x86_64", None),
        (pe(0x8664), "win32", "AMD64", None),
        (MACH_O, "darwin", "arm64", None),
        (b"#!/bin/sh\n", "linux", "x86_64", None),
        (elf(183), "linux", "x86_64", "is built for aarch64; this machine is x86_64"),
        (elf(62), "linux", "aarch64", "is built for x86_64; this machine is aarch64"),
        (elf(999), "linux", "x86_64", "is built for another processor (ELF machine 999)"),
        (pe(0xAA64), "win32", "AMD64", "is built for aarch64; this machine is x86_64"),
        (pe(0x8664), "linux", "x86_64", "is a program for Windows"),
        (MACH_O, "linux", "x86_64", "is a program for macOS"),
        (elf(62), "darwin", "x86_64", "is a program for Linux"),
        (b"GGUF" + bytes(60), "linux", "x86_64", "is not a program"),
        (b"", "linux", "x86_64", "is not a program"),
        (b"\x7fELF", "linux", "x86_64", "is not a program"),
    ],
)
def test_a_program_for_another_machine_is_recognized_by_its_header(
    header: bytes, system: str, machine: str, says: str | None
) -> None:
    problem = format_problem("llama-server", header, system, machine)
    if says is None:
        assert problem is None
    else:
        assert problem is not None
        assert says in problem.message
        assert problem.state is EngineState.INCOMPATIBLE
        assert problem.action


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    problem = find_problem(tmp_path / "llama-server")
    assert problem is not None
    assert problem.state is EngineState.MISSING
    assert str(tmp_path) not in problem.message


def test_a_folder_and_a_file_without_permission_are_incompatible(tmp_path: Path) -> None:
    file = tmp_path / "llama-server"
    file.write_bytes(elf(62))
    for path, says in ((tmp_path, "is not a file"), (file, "is not executable")):
        problem = find_problem(path)
        assert problem is not None
        assert (problem.state, says in problem.message) == (EngineState.INCOMPATIBLE, True)
