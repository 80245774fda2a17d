"""Section 15 of the contract: prompts survive their model's way out of memory."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

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

ROOM_FOR_ONE = "60"


@pytest.fixture
def stored(home: Path) -> Path:
    """The home with two models whose workers keep prompts."""
    store_models(home)
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


@pytest.mark.requirement("15.saved", "15.cached-tokens")
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


@pytest.mark.requirement("15.list")
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


@pytest.mark.requirement("15.off")
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


@pytest.mark.requirement("15.keep")
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
    if sys.platform != "win32":
        assert stat.S_IMODE(folder(stored).stat().st_mode) == 0o700
        assert {stat.S_IMODE(one.stat().st_mode) for one in folder(stored).iterdir()} == {0o600}


@pytest.mark.requirement("15.fits")
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


@pytest.mark.requirement("15.fits")
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
        assert listed(service)["models"] == []
        if not service.is_on_cluster:  # there only the service has the key of the worker
            assert props(service)["damaged_restores"] == 0


@pytest.mark.requirement("15.never-waits")
@pytest.mark.parametrize("trouble", ["save-fails", "restore-fails"])
def test_an_engine_that_refuses_costs_the_prompt_and_nothing_else(home: Path, trouble: str) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --slot-trouble {trouble}")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) == 0
        assert (listed(service)["models"], unlisted(home)) == ([], [])


@pytest.mark.requirement("15.never-waits")
def test_a_save_that_takes_too_long_is_cut_off_and_leaves_nothing(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"{FLAGS} --save-s 50")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        chat(service, messages())
        unload(service)
        assert chat(service, messages(2)) == 0
        assert (listed(service)["models"], unlisted(home)) == ([], [])
