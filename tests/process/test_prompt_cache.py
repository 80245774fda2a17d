"""Saved prompts with real processes: every way out of memory, what goes wrong there, and what is left on disk."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

ROOM_FOR_ONE = "60"
# Five in the ordinary run; `make kill-prompts` has fifty.
KILLS = int(os.environ.get("FOUNDRYLOCAL_TEST_KILLS", "5"))
WORDS = 300
FLAGS = "--keep-prompts"


def messages(turns: int = 1, topic: str = "word") -> list[dict[str, str]]:
    """A conversation whose first message is long; with more turns it goes on from there."""
    told = [{"role": "user", "content": " ".join(f"{topic}{number}" for number in range(WORDS))}]
    for turn in range(1, turns):
        told += [{"role": "assistant", "content": "word0"}, {"role": "user", "content": f"more {turn}"}]
    return told


def chat(service: Service, told: list[dict[str, str]], model: str = CHAT_MODEL) -> int:
    """Tokens of the prompt that came from the cache."""
    with service.gateway() as gateway:
        body = {"model": model, "messages": told, "max_tokens": 1}
        answer = gateway.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "word0"
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def unload(service: Service, model: str = CHAT_MODEL) -> None:
    assert service.post(f"/models/{model}/unload").status_code == 200


def listed(service: Service) -> dict[str, Any]:
    return dict(service.get("/prompt-cache").json())


def saved(service: Service, count: int = 1) -> dict[str, Any]:
    """The list, once so many prompts are in it: they are checked and listed after the unload."""

    def look() -> Any:
        answer = listed(service)
        return answer if sum(model["prompts"] for model in answer["models"]) == count else None

    return dict(eventually(f"{count} prompts are saved", look))


def folder(home: Path) -> Path:
    return home / "state" / "prompt-cache"


def unlisted(home: Path) -> list[str]:
    """Files of the folder that its list does not name."""
    if not folder(home).exists():
        return []
    index = folder(home) / "index.json"
    names = {one["name"] for one in json.loads(index.read_bytes())["prompts"]} if index.exists() else set()
    return sorted(one.name for one in folder(home).iterdir() if one.name not in names | {"index.json"})


def props(service: Service) -> dict[str, Any]:
    """What the fake worker tells of itself."""
    run_folder = service.run_folder()
    assert run_folder is not None
    (socket,) = run_folder.glob("*.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
        return dict(client.get("http://worker/props").json()["fake"])


@pytest.fixture
def stored(home: Path) -> Path:
    """The home with two models whose workers keep prompts."""
    store_tiny_model(home, CHAT_MODEL, worker_flags=FLAGS)
    store_tiny_model(home, BASE_MODEL, worker_flags=FLAGS)
    return home


def leave_by_unload(service: Service) -> None:
    unload(service)


def leave_by_unload_all(service: Service) -> None:
    assert service.post("/models/unload-all").status_code == 200


def leave_by_stop(service: Service) -> None:
    assert service.post("/stop").status_code == 200
    saved(service)
    service.start()


def leave_by_switch(service: Service) -> None:
    for model in (BASE_MODEL, CHAT_MODEL):
        assert service.post("/switch-model", {"model_name": model}).status_code == 200


@pytest.mark.parametrize("leave", [leave_by_unload, leave_by_unload_all, leave_by_stop, leave_by_switch])
def test_a_conversation_goes_on_without_reading_its_prompt_again(
    stored: Path, leave: Callable[[Service], None]
) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB=ROOM_FOR_ONE) as service:
        service.start()
        assert chat(service, messages()) == 0
        leave(service)
        assert chat(service, messages(2)) >= WORDS
        eventually("the hit is counted", lambda: listed(service)["models"][0]["hits"] == 1)
        assert unlisted(stored) == []


def test_the_list_tells_bytes_tokens_and_age_and_a_delete_empties_it(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        answer = saved(service)
        (entry,) = answer["models"]
        assert (entry["model"], entry["prompts"], entry["hits"]) == (CHAT_MODEL, 1, 0)
        assert entry["tokens"] >= WORDS
        assert entry["bytes"] == sum(one.stat().st_size for one in folder(stored).glob("*.prompt"))
        assert (answer["total_count"], answer["total_bytes"]) == (1, entry["bytes"])
        assert (answer["limit_bytes"], answer["keep"]) == (2048 << 20, False)
        assert service.http.delete("/prompt-cache/no-such-model").json()["error"]["code"] == "model_not_found"
        other = service.http.delete(f"/prompt-cache/{BASE_MODEL}").json()
        assert (other["success"], other["removed"]) == (True, 0)
        one = service.http.delete(f"/prompt-cache/{CHAT_MODEL.lower()}").json()
        assert (one["message"], one["removed"], one["freed_bytes"]) == (
            "Saved prompts removed",
            1,
            entry["bytes"],
        )
        assert listed(service)["models"] == []
        assert list(folder(stored).glob("*.prompt")) == []


def test_with_the_cache_off_nothing_is_written(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_PROMPT_CACHE_MB="0") as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) == 0
        assert listed(service) | {"keep": False} == {
            "models": [], "total_count": 0, "total_bytes": 0, "limit_bytes": 0, "keep": False
        }  # fmt: skip
        assert not folder(stored).exists()


def test_switching_it_off_removes_what_is_saved_at_once(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
        service.post("/config", {"prompt_cache_mb": 0})
        assert not folder(stored).exists()
        assert chat(service, messages(2)) == 0


def test_the_end_of_the_service_empties_the_cache_unless_it_is_kept(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
    assert not folder(stored).exists()
    for turn in (1, 2, 3):
        with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
            service.start()
            assert (chat(service, messages(turn)) >= WORDS) is (turn > 1)
        assert (unlisted(stored), len(list(folder(stored).glob("*.prompt")))) == ([], 1)


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


def test_another_build_of_the_engine_gets_nothing_of_it(stored: Path, home: Path) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
        service.start()
        chat(service, messages())
    newer = [*FAKE_WORKER, "--build", "fake 2"]
    with running(stored, worker=newer, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
        assert len(listed(service)["models"]) == 1
        service.start()
        assert listed(service)["models"] == []
        assert chat(service, messages(2)) == 0


def test_a_damaged_file_is_dropped_and_not_restored(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        saved(service)
        (file,) = folder(stored).glob("*.prompt")
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        assert chat(service, messages(2)) == 0
        assert (props(service)["damaged_restores"], listed(service)["models"]) == (0, [])


@pytest.mark.parametrize("trouble", ["save-fails", "restore-fails"])
def test_an_engine_that_refuses_costs_the_prompt_and_nothing_else(home: Path, trouble: str) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --slot-trouble {trouble}")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) == 0
        assert (listed(service)["models"], unlisted(home)) == ([], [])


def test_a_save_that_takes_too_long_is_cut_off_and_leaves_nothing(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --save-s 50")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) == 0
        assert (listed(service)["models"], unlisted(home)) == ([], [])


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


def test_deleting_a_model_removes_its_prompts(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages(), BASE_MODEL)
        unload(service, BASE_MODEL)
        saved(service)
        assert service.http.delete(f"/models/{BASE_MODEL}").status_code == 200
        assert (listed(service)["models"], list(folder(stored).glob("*.prompt"))) == ([], [])


def test_nothing_of_a_prompt_is_in_the_log_or_the_index(stored: Path) -> None:
    with running(stored, worker=FAKE_WORKER, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG") as service:
        service.start()
        chat(service, messages(topic="secret"))
        unload(service)
        saved(service)
        assert "secret" not in (folder(stored) / "index.json").read_text()
        chat(service, messages(2, topic="secret"))
        assert "secret1" not in service.get("/logs?count=10000").text


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
