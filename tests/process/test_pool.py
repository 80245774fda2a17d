"""Several models in memory: who is loaded on demand, who leaves, who never does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

THIRD_MODEL = "SmolLM2-360M-Instruct-Q8_0-GGUF"
# A tiny model of the tests is estimated at some 44 MB.
ROOM_FOR_ONE, ROOM_FOR_TWO = "60", "100"


@contextmanager
def service_gateway(service: Service) -> Iterator[httpx.Client]:
    """The server started with the chat model, and a client of it."""
    service.start()
    with service.gateway() as gateway:
        yield gateway


def _loaded(service: Service) -> set[str]:
    return {model["simple_name"] for model in service.get("/models/loaded").json()["models"]}


def _chat(service: Service, model: str) -> tuple[int, str]:
    with service.gateway() as gateway:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        answer = gateway.post("/v1/chat/completions", json=body)
    return answer.status_code, answer.json().get("model") or answer.json()["error"]["code"]


def test_with_room_for_both_two_models_alternate_without_a_reload(service: Service) -> None:
    service.start()
    for _ in range(3):
        assert _chat(service, CHAT_MODEL)[1].endswith(CHAT_MODEL)
        assert _chat(service, BASE_MODEL)[1].endswith(BASE_MODEL)
    assert _loaded(service) == {CHAT_MODEL, BASE_MODEL}
    assert len(service.workers()) == 2
    loads = [
        line for line in service.get("/logs?count=1000").json() if line["message"].startswith("Model loaded")
    ]
    assert len(loads) == 2


def test_the_least_recently_used_leaves_and_the_pinned_one_never(home: Path) -> None:
    for name in (CHAT_MODEL, BASE_MODEL, THIRD_MODEL):
        store_tiny_model(home, name)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB=ROOM_FOR_TWO) as service:
        service.start()
        assert _chat(service, BASE_MODEL)[0] == 200
        assert _chat(service, THIRD_MODEL)[0] == 200
        assert _loaded(service) == {CHAT_MODEL, THIRD_MODEL}
        assert _chat(service, BASE_MODEL)[0] == 200
        assert _loaded(service) == {CHAT_MODEL, BASE_MODEL}


def test_with_room_for_one_the_pinned_one_stays_and_the_other_is_refused_with_figures(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB=ROOM_FOR_ONE) as service:
        service.start()
        assert _chat(service, BASE_MODEL) == (507, "insufficient_memory")
        assert _chat(service, BASE_MODEL) == (507, "insufficient_memory")
        assert _chat(service, CHAT_MODEL)[0] == 200
        assert _loaded(service) == {CHAT_MODEL}
        # A switch makes room by ending the old one, when its requests have ended.
        assert service.post("/switch-model", {"model_name": BASE_MODEL}).status_code == 200
        assert _loaded(service) == {BASE_MODEL}


def test_with_room_for_one_a_failed_switch_brings_the_old_one_back(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, worker_flags="--fail-with 'no such architecture'")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB=ROOM_FOR_ONE) as service:
        service.start()
        answer = service.post("/switch-model", {"model_name": BASE_MODEL})
        assert answer.json()["error"]["code"] == "server_start_failed"
        assert (_loaded(service), service.status()["status"]) == ({CHAT_MODEL}, "running")
        assert _chat(service, CHAT_MODEL)[0] == 200


def test_a_model_that_cannot_fit_drives_nobody_out(home: Path) -> None:
    for name in (CHAT_MODEL, BASE_MODEL, THIRD_MODEL):
        store_tiny_model(home, name)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        assert _chat(service, BASE_MODEL)[0] == 200
        # Not enough for the pinned one and another, so that to unload the second would be for nothing.
        service.post("/config", {"memory_budget_mb": 85})
        assert _chat(service, THIRD_MODEL) == (507, "insufficient_memory")
        assert _loaded(service) == {CHAT_MODEL, BASE_MODEL}


def test_no_answer_is_cut_short_for_another_model(home: Path) -> None:
    for name in (CHAT_MODEL, THIRD_MODEL):
        store_tiny_model(home, name)
    store_tiny_model(home, BASE_MODEL, worker_flags="--rate 10 --tokens 40")
    limits = {"FOUNDRYLOCAL_MEMORY_BUDGET_MB": ROOM_FOR_TWO, "FOUNDRYLOCAL_DRAIN_SECONDS": "1"}
    with running(home, worker=FAKE_WORKER, **limits) as service:
        service.start()
        with service.gateway() as gateway:
            body = {"model": BASE_MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
            with gateway.stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.iter_lines()
                next(lines)
                busy = gateway.post("/v1/chat/completions", json=body | {"model": THIRD_MODEL})
                error = busy.json()["error"]
                assert (busy.status_code, error["code"]) == (503, "model_loading")
                assert BASE_MODEL in error["details"] and int(busy.headers["retry-after"]) > 0
                assert "[DONE]" in "".join(lines)
        assert _chat(service, THIRD_MODEL)[0] == 200
        assert _loaded(service) == {CHAT_MODEL, THIRD_MODEL}


def test_a_switch_beside_lets_the_old_answers_end(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 10 --tokens 30")
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_DRAIN_SECONDS="1") as service:
        service.start()
        with service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
            with gateway.stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.iter_lines()
                next(lines)
                assert service.post("/switch-model", {"model_name": BASE_MODEL}).status_code == 200
                assert "[DONE]" in "".join(lines)
        eventually("the old one is gone", lambda: len(service.workers()) == 1)
        unloads = [
            line["message"]
            for line in service.get("/logs?count=1000").json()
            if line["message"].startswith("Model unloaded")
        ]
        assert unloads == [f"Model unloaded: {CHAT_MODEL}"]


def test_a_switch_back_to_a_model_that_still_answers_loads_no_second_one(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 10 --tokens 30")
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        (first,) = service.workers()
        with service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
            with gateway.stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.iter_lines()
                next(lines)
                for model in (BASE_MODEL, CHAT_MODEL):
                    assert service.post("/switch-model", {"model_name": model}).status_code == 200
                assert "[DONE]" in "".join(lines)
        eventually("the other one is gone", lambda: service.workers() == [first])
        assert _chat(service, CHAT_MODEL)[0] == 200


def _stream(gateway: httpx.Client, model: str) -> AbstractContextManager[httpx.Response]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    return gateway.stream("POST", "/v1/chat/completions", json=body)


def test_a_model_that_is_being_unloaded_is_not_called_back(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, worker_flags="--rate 10 --tokens 25")
    with running(home, worker=FAKE_WORKER) as service, service_gateway(service) as gateway:
        with _stream(gateway, BASE_MODEL) as answer, ThreadPoolExecutor() as pool:
            lines = answer.iter_lines()
            next(lines)
            unload = pool.submit(service.http.post, f"/models/{BASE_MODEL}/unload")
            eventually("it leaves", lambda: _loaded(service) == {CHAT_MODEL})
            assert _chat(service, BASE_MODEL)[0] == 200
            assert "[DONE]" in "".join(lines)
            assert unload.result().status_code == 200
        assert _chat(service, BASE_MODEL)[0] == 200
        assert _loaded(service) == {CHAT_MODEL, BASE_MODEL}
        eventually("the former process is gone", lambda: len(service.workers()) == 2)


def test_a_model_that_was_replaced_while_it_was_to_make_room_leaves_no_process(home: Path) -> None:
    for name in (CHAT_MODEL, THIRD_MODEL):
        store_tiny_model(home, name)
    store_tiny_model(home, BASE_MODEL, worker_flags="--rate 10 --tokens 60")
    limits = {"FOUNDRYLOCAL_MEMORY_BUDGET_MB": "150", "FOUNDRYLOCAL_DRAIN_SECONDS": "3"}
    with running(home, worker=FAKE_WORKER, **limits) as service, service_gateway(service) as gateway:
        with _stream(gateway, BASE_MODEL) as answer, ThreadPoolExecutor() as pool:
            lines = answer.iter_lines()
            next(lines)
            store_tiny_model(home, BASE_MODEL, worker_flags="--ready-after 2")
            body = {"model_name": BASE_MODEL, "options": {"parallel": 2}}
            switch = pool.submit(service.http.post, "/switch-model", json=body)
            eventually("the new one is being loaded", lambda: len(service.workers()) == 3)
            assert _chat(service, THIRD_MODEL)[0] == 200  # where the former chat model was
            assert switch.result().status_code == 200
            assert "[DONE]" in "".join(lines)
        eventually("the former process is gone", lambda: len(service.workers()) == 2)
        assert service.post("/stop").status_code == 200
        assert service.workers() == []


def test_a_model_that_is_not_on_disk_is_said_to_be_so_each_time(service: Service) -> None:
    service.start()
    for _ in range(2):
        assert _chat(service, THIRD_MODEL) == (412, "model_not_downloaded")
    store_tiny_model(service.home, THIRD_MODEL)
    assert _chat(service, THIRD_MODEL)[0] == 200


def test_a_model_too_big_for_the_memory_is_a_507_with_needed_and_free(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB="10") as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "insufficient_memory")
        assert "Needed: 4" in answer.json()["error"]["details"]
        assert not service.workers()


def test_a_model_on_demand_leaves_when_it_is_idle(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_IDLE_UNLOAD_SECONDS="1") as service:
        service.start()
        assert _chat(service, BASE_MODEL)[0] == 200
        eventually("the idle one leaves", lambda: _loaded(service) == {CHAT_MODEL}, 15)


def test_a_model_that_fails_to_load_is_not_tried_again_at_once_and_the_answer_says_why(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, worker_flags="--fail-with 'no such architecture'")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        _chat(service, BASE_MODEL)
        with service.gateway() as gateway:
            body = {"model": BASE_MODEL, "messages": [{"role": "user", "content": "Hi"}]}
            answer = gateway.post("/v1/chat/completions", json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "model_loading")
        assert "no such architecture" in error["details"]
        assert int(answer.headers["retry-after"]) >= 1
