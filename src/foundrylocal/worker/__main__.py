"""The child process: one model, llama.cpp's own server, nothing of the service.

It takes its whole order as one line on stdin, tells `ready` or `failed` as a line on stdout, logs on stderr,
and ends when its stdin does: with its parent, whatever became of that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_LINE_BYTES = 4096
_IOLBF = 1
_PING_S = 15  # the contract's, for all event streams


def _die_with_parent() -> None:
    """Ask Linux to kill us when the service ends, even while the engine holds the interpreter lock."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        os._exit(0)  # it was gone before we asked


def _limit() -> None:
    """No core dump of gigabytes when the engine aborts."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _take_report_channel() -> IO[str]:
    """Keep the real stdout for our reports and send whatever native code prints there to the log."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


def _write_whole_lines() -> object:
    """Have the engine's log leave as lines: each is three writes else, and each write wakes the service.

    The answer is the buffer, which has to live as long as the process.
    """
    if sys.platform == "win32":
        return None  # its C library knows no line buffering
    import ctypes

    system = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(system, "__stderrp" if sys.platform == "darwin" else "stderr")
    buffer = ctypes.create_string_buffer(_LINE_BYTES)
    system.setvbuf(stderr, buffer, _IOLBF, _LINE_BYTES)
    return buffer


def _parameters(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model_path"]
    if order["projector_path"]:
        params.mmproj.path = order["projector_path"]
    params.model_alias = {order["alias"]}
    if order["socket"]:
        params.hostnames = [order["socket"]]
    else:
        params.hostnames = [order["host"]]
        params.port = order["port"]
        params.api_keys = [order["api_key"]]
    params.ui = False
    params.n_ctx = order["context_size"]
    params.n_parallel = order["parallel"]
    # One pool of context for all slots: a single long chat may use all of it.
    params.kv_unified = True
    params.n_threads_http = order["parallel"] + 32
    params.cache_ram_mib = 256
    params.sse_ping_interval = _PING_S
    # Parallel chats keep their prompts in the pool; the engine clears idle ones itself when it needs the room.
    params.cache_idle_slots = False
    if order["threads"]:
        params.cpuparams.n_threads = order["threads"]
        params.cpuparams_batch.n_threads = order["threads"]
    if order["gpu_layers"] is not None:
        params.n_gpu_layers = order["gpu_layers"]
    if order["is_embedding"] or order["is_reranking"]:
        params.embedding = True
        # An embedding is computed in one batch: it must hold the longest input.
        params.n_batch = params.n_ubatch = order["context_size"]
    if order["is_reranking"]:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    return params


def main() -> None:
    report = _take_report_channel()
    _die_with_parent()
    _limit()
    log_buffer = _write_whole_lines()
    # The engine loads with the interpreter lock held, so no Python handler would run: the system's own must.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    try:
        import xllamacpp

        server = xllamacpp.Server(_parameters(order))
    except Exception as error:  # noqa: BLE001 - whatever it is, the service must hear of it
        report.write(json.dumps({"event": "failed", "reason": str(error)}) + "\n")
        report.flush()
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report.write(json.dumps({"event": "ready", "address": server.listening_address}) + "\n")
    report.flush()
    while sys.stdin.readline():
        pass
    del log_buffer
    os._exit(0)


if __name__ == "__main__":
    main()
