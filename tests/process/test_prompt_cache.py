"""Saved prompts with real processes: what goes wrong on the way out of memory and back, and what is left on disk."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model
from tests.saved_prompts import (
    FLAGS,
    WORDS,
    chat,
    folder,
    listed,
    messages,
    props,
    saved,
    store_models,
    unlisted,
    unload,
)

# Five in the ordinary run; fifty with FOUNDRYLOCAL_TEST_KILLS=50.
KILLS = int(os.environ.get("FOUNDRYLOCAL_TEST_KILLS", "5"))


@pytest.fixture
def stored(home: Path) -> Path:
    """The home with two models whose workers keep prompts."""
    store_models(home)
    return home


def test_switching_it_off_removes_what_is_saved_at_once(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
        service.post("/config", {"prompt_cache_mb": 0})
        assert not folder(stored).exists()
        assert chat(service, messages(2)) == 0


def test_a_service_that_was_killed_leaves_nothing_to_the_next_one(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
        service.kill()
    assert list(folder(stored).glob("*.prompt")) != []
    with running(stored, worker=FAKE_WORKER) as service:
        assert listed(service)["models"] == []
        assert not folder(stored).exists()


def test_an_engine_that_crashes_over_a_prompt_does_not_meet_it_again(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --slot-trouble restore-dies")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        service.post("/stop")
        saved(service)
        error = service.post("/start", {"model_name": CHAT_MODEL}).json()["error"]
        assert error["code"] == "server_start_failed"
        assert listed(service)["models"] == []
        service.start()
        assert chat(service, messages(2)) == 0


def test_a_model_that_reads_restored_prompts_again_is_not_saved_any_more(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --slot-trouble forgets")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
        chat(service, messages(2))
        unload(service)
        saved(service, 0)
        chat(service, messages(3))
        unload(service)
        assert (saved(service, 0)["models"], unlisted(home)) == ([], [])


def test_a_crash_saves_nothing_and_loses_nothing_that_was_saved(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="0") as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) >= WORDS
        (worker,) = service.workers()
        worker.kill()
        eventually("the model is back", lambda: [one for one in service.workers() if one.pid != worker.pid])
        assert chat(service, messages(3)) >= WORDS


def delete(service: Service) -> httpx.Response:
    return service.http.delete(f"/models/{BASE_MODEL}")


def delete_as_ollama_does(service: Service) -> httpx.Response:
    with service.gateway() as gateway:
        return gateway.request("DELETE", "/api/delete", json={"model": BASE_MODEL})


@pytest.mark.parametrize("delete_model", [delete, delete_as_ollama_does])
def test_deleting_a_model_removes_its_prompts(
    stored: Path, delete_model: Callable[[Service], httpx.Response]
) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages(), BASE_MODEL)
        unload(service, BASE_MODEL)
        saved(service)
        assert delete_model(service).status_code == 200
        assert (listed(service)["models"], list(folder(stored).glob("*.prompt"))) == ([], [])


def test_nothing_of_a_prompt_is_in_the_log_or_the_index(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG") as service:
        service.start()
        chat(service, messages(topic="secret"))
        unload(service)
        saved(service)
        index = folder(stored) / "index.json"
        eventually("the list is on disk too", index.exists)
        assert "secret" not in index.read_text()
        chat(service, messages(2, topic="secret"))
        assert "secret1" not in service.get("/logs?count=10000").text


@pytest.mark.timeout(60 + 30 * KILLS)
def test_a_kill_at_any_moment_leaves_nothing_damaged_and_nothing_behind(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --state-bytes 8000 --save-s 0.3 --restore-s 0.2 --slots 4")
    chance = random.Random(int(os.environ.get("FOUNDRYLOCAL_TEST_SEED", "12")))
    restored = 0
    for turn in range(1, KILLS + 1):
        with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
            # Right after the start there is nothing but what is listed, and all of it is whole.
            sizes = {
                one.name: one.stat().st_size for one in folder(home).glob("*") if one.name != "index.json"
            }
            index = folder(home) / "index.json"
            entries = json.loads(index.read_bytes())["prompts"] if index.exists() else []
            assert sizes == {one["name"]: one["size_bytes"] for one in entries}
            service.start()
            restored += chat(service, messages(1 + turn % 4, topic=f"topic{turn % 2}-")) >= WORDS
            assert props(service)["damaged_restores"] == 0
            leaving = threading.Thread(target=_unload_and_load, args=(service,), daemon=True)
            leaving.start()
            time.sleep(chance.uniform(0, 1.0))  # the moment of the kill is what is tried
            service.kill()
            leaving.join(20)
    print(f"{restored} of {KILLS} conversations went on from a saved prompt")


def _unload_and_load(service: Service) -> None:
    """What the kill interrupts: the connection breaks then."""
    try:
        service.post(f"/models/{CHAT_MODEL}/unload")
        service.post(f"/models/{CHAT_MODEL}/load")
    except (httpx.HTTPError, RuntimeError):
        pass
