"""An answer that is being written slowly while a test looks at it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model


@contextlib.contextmanager
def slow_answer(home: Path) -> Iterator[tuple[Service, Callable[[], str]]]:
    """A service whose only model answers a client; the function reads that answer to its end."""
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 5 --tokens 4000")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with (
            service.gateway() as gateway,
            gateway.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            yield service, lambda: "".join(answer.iter_text())
