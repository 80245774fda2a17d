"""The bare engine: one process with xllamacpp's own server and our worker's parameters.

Reads the worker's order as one line on stdin, writes one JSON line `{"address", "load_s"}` when it serves,
and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    order = json.loads(sys.stdin.readline())
    report = os.fdopen(os.dup(1), "w", buffering=1)
    began = time.perf_counter()
    import xllamacpp

    # The worker's own parameters, so that both sides run the same engine.
    from foundrylocal.worker.parameters import parameters

    params = parameters(order)
    if batch := order.get("batch_tokens"):
        params.n_batch = params.n_ubatch = batch
    server = xllamacpp.Server(params)
    load_s = time.perf_counter() - began
    report.write(json.dumps({"address": server.listening_address, "load_s": load_s}) + "\n")
    sys.stdin.read()
    # The engine's own shutdown waits for its loops, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
