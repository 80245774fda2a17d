"""Ten minutes of everything at once on the real engine; what happened is counted, what must not happen ends it.

Run it as `python -m scripts.soak` in the repository.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fakes.gguf_corpus import write_gguf
from tests.fakes.hub import FakeHub
from tests.real_models import copy_into
from tests.running import BASE_MODEL_ID, CHAT_MODEL_ID, running
from tests.soak import soak

REPOSITORY, MODEL = "soak/tiny-GGUF", "tiny-GGUF"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        copy_into(home / "cache", CHAT_MODEL_ID, BASE_MODEL_ID)
        file = Path(folder) / "tiny.gguf"
        write_gguf(file)
        with FakeHub() as hub:
            hub.add(REPOSITORY, "tiny.gguf", file.read_bytes())
            with running(home, FOUNDRYLOCAL_CONTEXT_SIZE="4096", **hub.environment) as service:
                answer = service.post("/models/import", {"repo": REPOSITORY})
                assert answer.is_success, answer.text
                run = soak(
                    service,
                    third_model=answer.json()["model_name"],
                    seconds=given.seconds,
                    seed=given.seed,
                    clients=given.clients,
                )
    for what, count in sorted(run.counts.items()):
        print(f"{count:7} {what}")
    print(f"{run.slowest_health_s * 1000:7.0f} ms at most for /health")
    return 0


if __name__ == "__main__":
    sys.exit(main())
