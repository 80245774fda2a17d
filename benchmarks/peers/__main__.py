"""`python -m benchmarks.peers`: the same work at FoundryLocal and at other servers, as a Markdown table."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from benchmarks.peers.subjects import FIRST, SECOND, Peer, foundrylocal, llama_cpp_python, llama_router
from benchmarks.peers.work import WORK
from benchmarks.processes import MODEL, SECOND_MODEL, fetch_model

Subject = Callable[[], AbstractContextManager[Peer]]


def main() -> int:
    """Measure each server alone, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--llama-server", type=Path, help="a llama-server binary")
    parser.add_argument(
        "--llama-cpp-python", type=Path, help="an interpreter that has llama-cpp-python[server]"
    )
    parser.add_argument("--only", choices=list(WORK), help="one row of the table")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed service has its byte code
    folder = Path(tempfile.mkdtemp(prefix="fl-peers-"))
    try:
        files = {FIRST: fetch_model(folder / "a", MODEL), SECOND: fetch_model(folder / "b", SECOND_MODEL)}
        subjects: list[Subject] = [partial(foundrylocal, folder)]
        if given.llama_server:
            subjects.append(partial(llama_router, folder, given.llama_server, files))
        if given.llama_cpp_python:
            subjects.append(partial(llama_cpp_python, folder, given.llama_cpp_python, files))
        _print_table([_measure(subject, given.only) for subject in subjects])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _measure(subject: Subject, only: str | None) -> tuple[str, dict[str, str]]:
    found: dict[str, str] = {}
    with subject() as peer:
        for name, work in WORK.items():
            if only in (None, name):
                began = time.monotonic()
                try:
                    found[name] = work(peer)
                except Exception as error:  # noqa: BLE001 - the other rows still have something to say
                    found[name] = f"failed: {type(error).__name__}"
                print(f"{peer.name}: {name}: {found[name]} ({time.monotonic() - began:.0f} s)", flush=True)
    return peer.name, found


def _print_table(columns: list[tuple[str, dict[str, str]]]) -> None:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"\n{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}{load}\n")
    print("| |", " | ".join(name for name, _ in columns), "|")
    print("| --- |", " | ".join("---" for _ in columns), "|")
    for row in columns[0][1]:
        print(f"| {row} |", " | ".join(found.get(row, "-") for _, found in columns), "|")


if __name__ == "__main__":
    sys.exit(main())
