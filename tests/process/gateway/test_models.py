"""Which model answers: the current one, a named one, an alias; and what a second model does to the first."""

from __future__ import annotations

from pathlib import Path

from tests.process.gateway.raw import CHAT, HELLO, Raw
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)


def test_the_model_is_the_current_the_named_or_an_alias(home: Path) -> None:
    for name in (CHAT_MODEL, BASE_MODEL):
        store_tiny_model(home, name)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ALIASES=f"gpt-4o={BASE_MODEL}") as service:
        service.start()
        with service.gateway() as gateway:
            for name, wanted in (
                (None, CHAT_MODEL_ID),
                ("", CHAT_MODEL_ID),
                (CHAT_MODEL.lower(), CHAT_MODEL_ID),
                (BASE_MODEL_ID, BASE_MODEL_ID),
                ("gpt-4o", BASE_MODEL_ID),
                (None, CHAT_MODEL_ID),
            ):
                answer = gateway.post(CHAT, json=HELLO | {"model": name})
                assert (answer.status_code, answer.json()["model"]) == (200, wanted)
        assert len(service.workers()) == 2
        assert service.status()["loaded_model_id"] == CHAT_MODEL_ID


def test_an_unknown_model_is_404_with_the_nearest_names(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        answer = gateway.post(CHAT, json=HELLO | {"model": CHAT_MODEL[:-2]})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (404, "model_not_found")
        assert CHAT_MODEL in error["details"]


def test_a_model_that_fails_to_load_is_not_tried_again_at_once_and_the_503_says_why(home: Path) -> None:
    store_tiny_model(home)
    store_tiny_model(home, BASE_MODEL, worker_flags="--fail-with 'tensor shapes are wrong'")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as gateway:
            first = gateway.post(CHAT, json=HELLO | {"model": BASE_MODEL})
            assert "tensor shapes are wrong" in first.json()["error"]["details"]
            again = gateway.post(CHAT, json=HELLO | {"model": BASE_MODEL})
            assert (again.status_code, again.json()["error"]["code"]) == (503, "model_loading")
            assert "tensor shapes are wrong" in again.json()["error"]["details"]
            assert int(again.headers["retry-after"]) >= 1
            assert gateway.post(CHAT, json=HELLO).status_code == 200


def test_a_model_that_loads_holds_up_no_request_of_a_loaded_one(home: Path) -> None:
    store_tiny_model(home)
    store_tiny_model(home, BASE_MODEL, worker_flags="--never-ready")
    with running(home, worker=FAKE_WORKER) as service:
        address = service.start()
        waiting = Raw(address["port"], address["api_key"]).post(HELLO | {"model": BASE_MODEL})
        eventually("the second worker", lambda: len(service.workers()) == 2)
        with service.gateway() as gateway:
            assert gateway.post(CHAT, json=HELLO).json()["model"] == CHAT_MODEL_ID
            with gateway.stream("POST", CHAT, json=HELLO | {"stream": True}) as stream:
                assert [line for line in stream.iter_lines() if line][-1] == "data: [DONE]"
        assert len(service.workers()) == 2
        waiting.socket.close()
