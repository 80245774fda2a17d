"""Kept responses as the `openai` client uses them: a conversation that goes on, and what can be read and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.running import CHAT_MODEL, FAKE_WORKER, running, store_tiny_model


def client(home: Path, **settings: str) -> Iterator[openai.OpenAI]:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, **settings) as service:
        started = service.start(CHAT_MODEL)
        yield openai.OpenAI(base_url=started["endpoint"], api_key=started["api_key"], max_retries=0)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    yield from client(tmp_path_factory.mktemp("home"))


@pytest.fixture
def forgetting(tmp_path: Path) -> Iterator[openai.OpenAI]:
    yield from client(tmp_path, FOUNDRYLOCAL_RESPONSES_KEPT="0")


def test_a_conversation_goes_on(keeping: openai.OpenAI) -> None:
    first = keeping.responses.create(model=CHAT_MODEL, input="script: text")
    with keeping.responses.stream(
        model=CHAT_MODEL, input="script: thinking", previous_response_id=first.id
    ) as stream:
        second = stream.get_final_response()
    third = keeping.responses.create(model=CHAT_MODEL, input="And now?", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    items = list(keeping.responses.input_items.list(third.id, order="asc", limit=2))
    texts = [getattr(part, "text", "") for item in items for part in getattr(item, "content", None) or ()]
    assert texts == ["script: text", "Hello there.", "script: thinking", "It is five.", "And now?"]
    assert keeping.responses.retrieve(first.id) == first
    assert keeping.responses.retrieve(second.id).output_text == second.output_text == "It is five."


def test_a_deleted_response_is_gone(keeping: openai.OpenAI) -> None:
    answer = keeping.responses.create(model=CHAT_MODEL, input="script: text")
    keeping.responses.delete(answer.id)
    for call in (keeping.responses.retrieve, keeping.responses.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            call(answer.id)
        assert caught.value.code == "response_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        keeping.responses.create(model=CHAT_MODEL, input="a", previous_response_id=answer.id)
    assert (refused.value.code, refused.value.param) == (
        "previous_response_not_found",
        "previous_response_id",
    )


def test_a_compacted_conversation_stands_for_the_whole_one(keeping: openai.OpenAI) -> None:
    first = keeping.responses.create(model=CHAT_MODEL, input="script: text")
    compacted = keeping.responses.compact(model=CHAT_MODEL, previous_response_id=first.id)
    (item,) = compacted.output
    assert item.type == "compaction"
    goes_on = [item.model_dump(exclude_none=True), {"role": "user", "content": "script: text"}]
    answer = keeping.responses.create(model=CHAT_MODEL, input=goes_on)  # type: ignore[arg-type]
    assert answer.output_text == "Hello there."


def test_nothing_is_kept_where_nothing_may_be(forgetting: openai.OpenAI, keeping: openai.OpenAI) -> None:
    for who, store in ((forgetting, True), (keeping, False)):
        answer = who.responses.create(model=CHAT_MODEL, input="script: text", store=store)
        with pytest.raises(openai.NotFoundError):
            who.responses.retrieve(answer.id)
