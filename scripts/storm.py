"""Two minutes of 32 clients that start, stop and switch at random, then 20 switches during chats.

Run it as `python -m scripts.storm` in the repository.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.real_models import copy_into
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    running,
    store_tiny_model,
)
from tests.storm import chats_through_switches, storm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for model in (CHAT_MODEL, BASE_MODEL):
            store_tiny_model(home, model)
        with running(home, worker=FAKE_WORKER) as service:
            counts = storm(service, clients=given.clients, seconds=given.seconds, seed=given.seed)
        for what, count in sorted(counts.items()):
            print(f"{count:7} {what}")
        real = Path(folder) / "real"
        copy_into(real / "cache", CHAT_MODEL_ID, BASE_MODEL_ID)
        with running(real, FOUNDRYLOCAL_CONTEXT_SIZE="1024") as service:
            chats = chats_through_switches(service, switches=given.switches, clients=4)
        print(f"{chats:7} chats through {given.switches} switches of real models, none failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
