"""Two real models in memory, and a third: who stays, who leaves, and that all of them answer rightly."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from tests.real_models import copy_into
from tests.running import BASE_MODEL, BASE_MODEL_ID, CHAT_MODEL, CHAT_MODEL_ID, Service, running

pytestmark = pytest.mark.model
# The starter model is estimated at 350 MB, the other one at 439 MB.
ROOM_FOR_ONE, ROOM_FOR_TWO = "500", "900"
THIRD_MODEL = "another-smollm"
_COUNT_AT, _KEYS_AT, _ALIGNMENT, _STRING = 16, 24, 32, 8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-models") / "cache"
    copy_into(folder, CHAT_MODEL_ID, BASE_MODEL_ID)
    return folder


def _text(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _write_third(cache: Path, path: Path) -> None:
    """The starter model with one more key in its header: other bytes, the same answers."""
    stored = Library(cache).get(Registry.load().find(CHAT_MODEL).model_id)
    assert stored is not None
    data = stored.model_path.read_bytes()
    (count,) = struct.unpack_from("<Q", data, _COUNT_AT)
    key = _text(b"test.filler") + struct.pack("<I", _STRING)
    key += _text(b" " * (-(len(key) + 8) % _ALIGNMENT))
    path.write_bytes(data[:_COUNT_AT] + struct.pack("<Q", count + 1) + key + data[_KEYS_AT:])


@pytest.fixture
def with_room(home: Path, cache: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    settings = {"FOUNDRYLOCAL_CACHE_DIR": str(cache), "FOUNDRYLOCAL_MEMORY_BUDGET_MB": request.param}
    with running(home, **settings) as service:
        yield service


def _loaded(service: Service) -> set[str]:
    return {model["simple_name"] for model in service.get("/models/loaded").json()["models"]}


def _pids(service: Service) -> set[int]:
    return {worker.pid for worker in service.workers()}


class Asker:
    """One client that asks the same of any model, and knows what each said first."""

    def __init__(self, service: Service) -> None:
        health = service.status()["health"]
        self._client = openai.OpenAI(base_url=health["endpoint"], api_key=health["api_key"], max_retries=0)
        self._first: dict[str, str] = {}

    def ask(self, model: str, model_id: str) -> None:
        answer = self._client.completions.create(
            model=model, prompt="1, 2, 3, 4,", max_tokens=6, temperature=0
        )
        assert answer.model == model_id
        text = answer.choices[0].text
        assert "5, 6" in text
        assert self._first.setdefault(model, text) == text


@pytest.mark.parametrize("with_room", [ROOM_FOR_TWO], indirect=True)
def test_with_room_for_both_two_real_models_alternate_without_a_reload(with_room: Service) -> None:
    with_room.start()
    asker = Asker(with_room)
    asker.ask(BASE_MODEL, BASE_MODEL_ID)
    pids = _pids(with_room)
    assert len(pids) == 2
    for _ in range(4):
        asker.ask(CHAT_MODEL, CHAT_MODEL_ID)
        asker.ask(BASE_MODEL, BASE_MODEL_ID)
    assert _pids(with_room) == pids


@pytest.mark.parametrize("with_room", [ROOM_FOR_TWO], indirect=True)
def test_of_three_real_models_the_least_recent_leaves_and_the_pinned_one_never(
    with_room: Service, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / f"{THIRD_MODEL}.gguf"
    _write_third(cache, file)
    third = with_room.post("/models/import", {"path": str(file), "mode": "link"}).json()["model_name"]
    third_id = with_room.get(f"/models/{third}").json()["model_id"]
    with_room.start()
    (pinned,) = _pids(with_room)
    asker = Asker(with_room)
    for name, model_id in ((BASE_MODEL, BASE_MODEL_ID), (third, third_id)) * 2:
        asker.ask(name, model_id)
        assert _loaded(with_room) == {CHAT_MODEL, name}
        asker.ask(CHAT_MODEL, CHAT_MODEL_ID)
        assert pinned in _pids(with_room)
        assert len(_pids(with_room)) == 2


@pytest.mark.parametrize("with_room", [ROOM_FOR_ONE], indirect=True)
def test_with_room_for_one_real_model_the_other_leaves_for_the_pinned_one(with_room: Service) -> None:
    with_room.start()
    asker = Asker(with_room)
    asker.ask(CHAT_MODEL, CHAT_MODEL_ID)
    with pytest.raises(openai.APIStatusError) as refused:
        asker.ask(BASE_MODEL, BASE_MODEL_ID)
    assert (refused.value.status_code, refused.value.code) == (507, "insufficient_memory")
    asker.ask(CHAT_MODEL, CHAT_MODEL_ID)
    assert with_room.post("/models/unload-all").json()["success"] is True
    for _ in range(2):
        asker.ask(BASE_MODEL, BASE_MODEL_ID)
        assert _loaded(with_room) == {BASE_MODEL}
        asker.ask(CHAT_MODEL, CHAT_MODEL_ID)
        assert _loaded(with_room) == {CHAT_MODEL}
        with_room.post("/models/unload-all")
