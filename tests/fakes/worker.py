"""A worker process that speaks our worker's protocol and llama.cpp's HTTP, and misbehaves when told to.

It runs on its own (`python worker.py [flags]`), imports nothing of ours, and its one invariant is the real
worker's: it is gone as soon as its stdin ends. Flags add up from three places, the last one winning: the
command line, the environment variable FAKE_WORKER_FLAGS, and a file `<model file>.flags` beside the model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from llama_http import Json, LlamaHttp, die, log

PROGRESS_PERIOD_S = 0.1

# Flag, type, default, what it does.
FLAGS: list[tuple[str, type, Any, str]] = [
    ("--ready-after", float, 0.0, "seconds before it is ready"),
    ("--never-ready", bool, False, "loads for good"),
    ("--fail-with", str, None, "tells this reason instead of getting ready, and exits"),
    ("--ignore-sigterm", bool, False, "stays when asked to end"),
    ("--die-mid-stream", int, None, "dies after N chunks of a stream"),
    ("--die-after", float, None, "dies S seconds after it was ready"),
    ("--exit-code", int, None, "what it dies with, below 0 a signal; alone: dies before it is ready"),
    ("--rate", float, 0.0, "tokens per second of each stream; 0: at once"),
    ("--tokens", int, 16, "length of an answer"),
    ("--hold-end", float, 0.0, "seconds between the end mark of a stream and the end of its body"),
    ("--stamp", bool, False, "each token is the monotonic time of its sending, in nanoseconds"),
    ("--stop-answering", int, None, "health checks hang after N answered ones (0 when no N is given)"),
    ("--stuck-on", str, None, "hangs in generating after a request that holds this text; `/slots` hangs too"),
    ("--slots-while-stuck", bool, False, "`/slots` is answered although the engine hangs"),
    ("--stall-on", str, None, "a request that holds this text never gets on, beside others that do"),
    ("--prompt-rate", float, 0.0, "tokens per second of reading prompts, in batches; 0: at once"),
    ("--slots", int, None, "generations at once; default: `parallel` of the specification"),
    ("--turns", str, None, "answers requests that offer tools from this file of turns, see `scripted.py`"),
    ("--shared-context", bool, False, "fails all slots when their tokens overrun the context together"),
    ("--keep-prompts", bool, False, "slots keep their prompts, reuse, save and restore them"),
    ("--state-bytes", int, 64, "size of a saved prompt, per token"),
    ("--save-s", float, 0.0, "seconds that a save takes, writing all the time"),
    ("--restore-s", float, 0.0, "seconds that a restore takes"),
    (
        "--slot-trouble",
        str,
        None,
        "what goes wrong with slots: save-fails, restore-fails, restore-dies, forgets",
    ),
    ("--build", str, "fake 1", "the build that it reports"),
    ("--log-lines", int, 0, "writes N more log lines before it is ready"),
    ("--owner", str, None, "whose it is, for whoever lists processes; the last argument"),
    ("--progress-for", float, 0.0, "writes log lines for S seconds before it goes on"),
]


def parse_flags(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind, default, text in FLAGS:
        if kind is bool:
            parser.add_argument(name, action="store_true", help=text)
        elif name == "--stop-answering":
            parser.add_argument(name, type=kind, nargs="?", const=0, help=text)
        else:
            parser.add_argument(name, type=kind, default=default, help=text)
    return parser.parse_args(arguments)


def tell(event: Json) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def exit_with_stdin() -> None:
    """Leave no worker without a parent: the pipe's end is the parent's."""
    while os.read(0, 65536):
        pass
    os._exit(0)


async def listen(worker: LlamaHttp, spec: Json) -> str:
    if spec.get("socket"):
        await asyncio.start_unix_server(worker.serve, spec["socket"])
        return f"unix://{spec['socket']}"
    server = await asyncio.start_server(
        worker.serve, spec.get("host") or "127.0.0.1", int(spec.get("port") or 0)
    )
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://{host}:{port}"


async def work(spec: Json, flags: argparse.Namespace) -> None:
    ending = asyncio.Event()
    if not flags.ignore_sigterm:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    log("I", "load_model", f"loading model '{spec.get('model_path')}'")
    orders = ("context_size", "parallel", "threads", "gpu_layers")
    log("I", "order", " ".join(f"{name}={spec.get(name)}" for name in orders))
    for number in range(flags.log_lines):
        log("I", "load_model", f"line {number}")
    for number in range(int(flags.progress_for / PROGRESS_PERIOD_S)):
        log("I", "load_model", f"progress {number}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), PROGRESS_PERIOD_S)
            return
    if flags.never_ready:
        await ending.wait()
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), flags.ready_after)
        return
    if flags.fail_with is not None:
        log("E", "load_model", f"failed to load model, '{spec.get('model_path')}'")
        tell({"event": "failed", "reason": flags.fail_with})
        die(flags.exit_code)
    if flags.exit_code is not None and flags.die_mid_stream is None and flags.die_after is None:
        die(flags.exit_code)
    address = await listen(LlamaHttp(spec, flags), spec)
    log("I", "init", f"listening on {address}")
    tell({"event": "ready", "address": address, "build": flags.build})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), flags.die_after)
        return
    die(flags.exit_code)


def main() -> int:
    """Run until told to stop: 0 after SIGTERM or the end of stdin, else what the flags say."""
    # Unbuffered, so that the line is all that is taken from the pipe that the thread goes on reading.
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return 2
        line += byte
    spec: Json = json.loads(line)
    arguments = sys.argv[1:] + shlex.split(os.environ.get("FAKE_WORKER_FLAGS", ""))
    beside = Path(f"{spec.get('model_path')}.flags")
    if beside.is_file():
        arguments += shlex.split(beside.read_text())
    flags = parse_flags(arguments)
    if flags.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=exit_with_stdin, daemon=True).start()
    asyncio.run(work(spec, flags))
    if spec.get("socket"):
        Path(spec["socket"]).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    # At once: open streams and the thread on stdin have nothing left to do.
    code = main()
    sys.stderr.flush()
    os._exit(code)
