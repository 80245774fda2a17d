"""A `llama-server` binary as far as the service sees it, good or bad in the way that its mode says.

`make_llama_server` writes one. It answers `--version`, `--help` and `--list-devices` as llama.cpp does, takes
llama.cpp's command line, and serves with the HTTP side of the fake worker. Its modes, of which `` is one that works:
`crashes` (SIGILL), `aborts`, `fails`, `hangs`, `grandchild` (leaves a process that holds its output), `library` (a
shared library is missing), `other` (another program), `old` (its help lacks options), `gpu` (it has a GPU),
`exits-at-load`, `hangs-at-stop`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FAKES = Path(__file__).resolve().parent
VALUED = (
    "--model", "--alias", "--mmproj", "--host", "--port", "--api-key-file", "--cache-ram", "--ctx-size", "--parallel",
    "--threads-http", "--threads", "--threads-batch", "--gpu-layers", "--batch-size", "--ubatch-size",
    "--sse-ping-interval", "--cache-type-k", "--cache-type-v", "--flash-attn", "--log-colors", "--lora-scaled",
    "--slot-save-path", "--spec-type", "--spec-draft-model", "--spec-draft-n-max", "--poll", "--prio",
)  # fmt: skip
SWITCHES = (
    "--kv-unified", "--offline", "--embedding", "--reranking", "--no-ui", "--no-cache-idle-slots", "--slots",
    "--log-prefix", "--log-timestamps", "--version", "--help", "--list-devices", "--jinja",
)  # fmt: skip
MISSING_WHEN_OLD = ("--kv-unified", "--cache-ram", "--no-ui")


def make_llama_server(folder: Path, how: str = "", *, has_llguidance: bool = True) -> Path:
    """Write a binary of that mode into the folder, which is made if necessary; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "llama-server"
    missing = "llguidance (cmake -DLLAMA_LLGUIDANCE=ON) is not enabled"
    mark = "LLGUIDANCE_LOG_LEVEL" if has_llguidance else missing
    binary.write_text(
        f"#!{sys.executable}\n# {mark}\nimport sys\nsys.path.insert(0, {str(FAKES)!r})\n"
        f"import llama_server\nsys.exit(llama_server.main({how!r}))\n"
    )
    binary.chmod(0o755)
    return binary


def misbehave(how: str) -> int | None:
    """What a bad binary does whatever it is asked; its exit code when it ends by itself."""
    if how == "hangs":
        time.sleep(600)
    if how in ("crashes", "aborts"):
        os.kill(os.getpid(), signal.SIGILL if how == "crashes" else signal.SIGABRT)
    if how == "grandchild":
        subprocess.Popen(["sleep", "600"])
    if how == "fails":
        sys.stderr.write("error: something is wrong\n")
        return 3
    if how == "library":
        what = "libcudart.so.12: cannot open shared object file"
        sys.stderr.write(f"llama-server: error while loading shared libraries: {what}\n")
        return 127
    if how == "other":
        print("nginx version: nginx/1.26")
        return 0
    return None


def answer(argument: str, how: str) -> int:
    code = misbehave(how)
    if code is not None:
        return code
    if argument == "--version":
        sys.stderr.write("version: 11549 (0a1b2c3)\nbuilt with GNU 14.2.0 for Linux x86_64\n")
    elif argument == "--help":
        for name in (*VALUED, *SWITCHES):
            if how != "old" or name not in MISSING_WHEN_OLD:
                print(f"{name} {'VALUE' if name in VALUED else ''}  what it does")
    else:
        print("Available devices:")
        if how == "gpu":
            print("  CUDA0: NVIDIA GeForce RTX 4090 (24217 MiB, 23500 MiB free)")
    return 0


def serve(how: str) -> None:
    from llama_http import LlamaHttp, log
    from worker import parse_flags

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in VALUED:
        parser.add_argument(name)
    for name in SWITCHES:
        parser.add_argument(name, action="store_true")
    given = parser.parse_args()
    log("I", "load_model", f"loading model '{given.model}'")
    log("I", "order", " ".join(sys.argv[1:]))
    if how == "exits-at-load":
        log("E", "load_model", f"error loading model: unknown model architecture: 'made-up' in {given.model}")
        sys.exit(1)
    if how == "hangs-at-stop":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    flags = parse_flags(["--tokens", "8"])
    if given.api_key_file:
        Path(given.api_key_file).read_text()
    spec = {"alias": given.alias, "parallel": int(given.parallel)}

    async def listen() -> None:
        worker = LlamaHttp(spec, flags)
        if given.port:
            await asyncio.start_server(worker.serve, given.host, int(given.port))
        else:
            await asyncio.start_unix_server(worker.serve, given.host)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(listen())


def main(how: str) -> int:
    for argument in ("--version", "--help", "--list-devices"):
        if argument in sys.argv[1:]:
            return answer(argument, how)
    serve(how)
    return 0
