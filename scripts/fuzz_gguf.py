"""Fuzzes the GGUF header reader: any bytes end in a header or in GgufInvalid, in under a second and 64 MB.

    python scripts/fuzz_gguf.py --seconds 600

With the package `atheris` installed the search is guided by coverage; without it, sound and hostile files are
changed at random. The last line says what was done; the exit code is 1 when anything was found.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "tests")]

LIMIT_S = 1.0
LIMIT_BYTES = 64 * 1024 * 1024
LONGEST_BYTES = 64 * 1024
_STATS = struct.Struct("<QQdQ")  # executions, accepted, slowest in seconds, most memory in bytes


class Target:
    """Feeds inputs to the reader through one file; the parent process can see its counters."""

    def __init__(self, folder: Path) -> None:
        from foundrylocal.catalog.gguf.read import GgufInvalid, read_header

        self._read, self._invalid = read_header, GgufInvalid
        self._path = folder / "input.gguf"
        self._file = self._path.open("wb", buffering=0)
        stats = (folder / "stats").open("r+b")
        self._stats = mmap.mmap(stats.fileno(), _STATS.size)
        self._executions, self._accepted, self._slowest_s, self._most_bytes = 0, 0, 0.0, 0
        tracemalloc.start()

    def __call__(self, data: bytes) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(data)
        tracemalloc.reset_peak()
        before_bytes, _ = tracemalloc.get_traced_memory()
        started_s = time.thread_time()
        try:
            self._read(self._path)
            self._accepted += 1
        except self._invalid as error:
            if not error.reason.isprintable() or not error.reason.endswith("."):
                raise RuntimeError(f"a reason that cannot be shown: {error.reason!r}") from error
        took_s = time.thread_time() - started_s
        self._executions += 1
        took_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
        self._slowest_s = max(self._slowest_s, took_s)
        self._most_bytes = max(self._most_bytes, took_bytes)
        _STATS.pack_into(self._stats, 0, self._executions, self._accepted, self._slowest_s, self._most_bytes)
        if took_bytes > LIMIT_BYTES:
            raise RuntimeError(f"one input took {took_bytes} bytes of memory")
        if took_s > LIMIT_S:
            raise RuntimeError(f"one input took {took_s:.2f} s of processor time")


def seeds() -> list[bytes]:
    """Seeds: small valid files, and every short hostile one."""
    from fakes.gguf_corpus import Typed, gguf, hostile_files, tiny_keys

    sound = [
        gguf(),
        gguf(version=2),
        gguf(tiny_keys(llama__attention__head_count_kv=[1, 2], llama__pooling_type=4)),
        gguf(
            tiny_keys(split__no=Typed(2, 0), split__count=Typed(2, 2), general__alignment=64),
            {"a": ((64,), 0)},
        ),
        gguf(tiny_keys(llama__ssm__state_size=1, llama__attention__sliding_window=2), {"a": ((64, 2), 30)}),
    ]
    return sound + [hostile.data for hostile in hostile_files() if len(hostile.data) < LONGEST_BYTES]


def fuzz_with_atheris(folder: Path, seconds: int) -> None:
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(data)
    with atheris.instrument_imports(include=["foundrylocal.catalog"]):
        target = Target(folder)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_BYTES}",
        f"-artifact_prefix={folder}/found-",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()  # ends the process by itself


def fuzz_at_random(folder: Path, seconds: int) -> None:
    target, known, chance = Target(folder), seeds(), random.Random()  # noqa: S311 - variety, not secrecy
    edges = [0, 1, 255, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        data = bytearray(chance.choice(known))
        for _ in range(chance.randint(1, 6)):
            at, width = chance.randint(0, len(data)), chance.choice([1, 4, 8])
            value = chance.choice(edges) if chance.random() < 0.5 else chance.getrandbits(64)
            data[at : at + width] = (value % 256**width).to_bytes(width, "little")
        if chance.random() < 0.2:
            del data[chance.randint(0, len(data)) :]
        try:
            target(bytes(data))
        except BaseException:
            (folder / "found-crash").write_bytes(data)
            raise


def run(seconds: int, keep: Path) -> int:
    """Fuzz in a separate process, so that a crash of the interpreter is noticed too."""
    with tempfile.TemporaryDirectory(prefix="fuzz-gguf-") as name:
        folder = Path(name)
        (folder / "stats").write_bytes(bytes(_STATS.size))
        command = [sys.executable, __file__, "--seconds", str(seconds), "--child", str(folder)]
        with (folder / "log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        executions, accepted, slowest_s, most_bytes = _STATS.unpack((folder / "stats").read_bytes())
        found = [path for path in folder.glob("found-*") if path.is_file()]
        for path in found:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / path.name).write_bytes(path.read_bytes())
        lines = (folder / "log").read_text(errors="replace").splitlines()
        shown = [line for line in lines if "stat::" in line or "cov:" in line][-8:]
    print("\n".join(lines[-40:] if code or found else shown))
    how = "guided by coverage" if find_spec("atheris") else "at random (atheris is not installed)"
    print(
        f"fuzz_gguf finished: {seconds} s {how}, {executions} executions, {accepted} accepted, "
        f"{len(found)} crashes, slowest {slowest_s * 1000:.1f} ms, "
        f"most memory {most_bytes / 1024**2:.1f} MB, exit code {code}",
        flush=True,
    )
    if found:
        print(f"The inputs are in {keep}")
    return 1 if code or found or not executions else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the GGUF header reader.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-found"), help="where inputs that crash are put"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments: Any = parser.parse_args()
    if arguments.child is None:
        return run(arguments.seconds, arguments.keep)
    (fuzz_with_atheris if find_spec("atheris") else fuzz_at_random)(arguments.child, arguments.seconds)
    return 0


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    sys.exit(main())
