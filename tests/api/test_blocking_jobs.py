"""Row 30: long jobs queue for threads of their own, and every other call is answered meanwhile."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx

from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import Registry
from tests.fakes.gguf_corpus import write_gguf
from tests.running import CHAT_MODEL, FAKE_WORKER, running

JOBS = 60
HASHED_BYTES = 3 * 1024**3


def _store_large_model(home: Path) -> None:
    """A model whose file has a hole behind its tensors: it takes no space, and all of it is hashed."""
    model = Registry.load().find(CHAT_MODEL)
    library = Library(home / "cache")
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True)
    file = write_gguf(place.partial / "big.gguf")
    with file.open("ab") as out:
        out.truncate(HASHED_BYTES)
    library.commit(model, place, [StagedFile(file, hashlib.sha256(b"another").hexdigest())])


def test_row_30_sixty_verifications_leave_the_other_calls_alone(home: Path) -> None:
    _store_large_model(home)
    with running(home, worker=FAKE_WORKER) as service, ThreadPoolExecutor(JOBS) as pool:
        sent = threading.Barrier(JOBS + 1)

        def verify() -> bool:
            with httpx.Client(base_url=service.base, timeout=100) as client:
                sent.wait(30)
                return bool(client.post(f"/models/{CHAT_MODEL}/verify").json()["is_sound"])

        jobs: list[Future[bool]] = [pool.submit(verify) for _ in range(JOBS)]
        sent.wait(30)
        for method, path in (
            ("GET", "/health"),
            ("GET", "/status"),
            ("GET", "/models"),
            ("POST", "/stop"),
        ) * 3:
            assert service.http.request(method, path).status_code == 200
        # With no thread left for them, these calls would have waited for verifications to end.
        assert not any(job.done() for job in jobs)
        assert [job.result() for job in jobs] == [False] * JOBS
