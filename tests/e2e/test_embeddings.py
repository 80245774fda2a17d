"""Embeddings of the real engine through the gateway, by the `openai` package.

No embedding model is small enough to be fetched by a test, so the starter model serves as one: a copy whose
header says that its vectors are to be averaged, which is what makes the engine compute embeddings.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from pydantic import TypeAdapter

from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import Registry
from tests.fakes.gguf_edit import write_with_keys
from tests.running import CHAT_MODEL, Service, running

pytestmark = pytest.mark.model
EMBEDDING_MODEL = "nomic-embed-text-v1.5-Q8_0-GGUF"
_MEAN = 1


@pytest.fixture(scope="module")
def embedding_home(model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("embedding-home")
    registry, library = Registry.load(), Library(home / "cache")
    chat = Library(model_cache).get(registry.find(CHAT_MODEL).model_id)
    assert chat is not None
    model = registry.find(EMBEDDING_MODEL)
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True)
    file = place.partial / "embedding.gguf"
    write_with_keys(chat.model_path, file, {"llama.pooling_type": _MEAN})
    library.commit(model, place, [StagedFile(file, hashlib.sha256(file.read_bytes()).hexdigest())])
    return home


@pytest.fixture(scope="module")
def service(embedding_home: Path) -> Iterator[Service]:
    with running(embedding_home) as found:
        found.start(EMBEDDING_MODEL)
        yield found


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    health = service.status()["health"]
    with openai.OpenAI(base_url=health["endpoint"], api_key=health["api_key"], max_retries=0) as found:
        yield found


def test_openai_gets_vectors_and_both_encodings_agree(client: openai.OpenAI) -> None:
    texts = ["The sea is blue.", "The ocean is blue.", "import os"]
    answers = [
        client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format=encoding)
        for encoding in ("float", "base64")
    ]
    plain, packed = ([one.embedding for one in answer.data] for answer in answers)
    assert len(plain) == len(packed) == 3
    for one, other in zip(plain, packed, strict=True):
        values = other if isinstance(other, list) else struct.unpack(f"<{len(one)}f", base64.b64decode(other))
        assert one == pytest.approx(list(values), abs=1e-4)
        assert math.hypot(*one) == pytest.approx(1.0, abs=1e-3)
    assert answers[0].usage.prompt_tokens > 5
    assert len(client.embeddings.create(model=EMBEDDING_MODEL, input="a").data[0].embedding) == len(plain[0])


def test_the_answer_is_of_the_published_schema(service: Service) -> None:
    with service.gateway() as gateway:
        for asked in ({"input": "a"}, {"input": [5, 6]}, {"input": [[5], [6]]}):
            answer = gateway.post("/v1/embeddings", json=asked)
            assert answer.status_code == 200, answer.text
            found = TypeAdapter(CreateEmbeddingResponse).validate_json(answer.content, strict=True)
            assert [one.index for one in found.data] == list(range(len(found.data)))
            assert answer.json()["model"].endswith(EMBEDDING_MODEL)


def test_what_an_embedding_model_cannot_do_is_said(service: Service) -> None:
    with service.gateway() as gateway:
        messages = [{"role": "user", "content": "a"}]
        for path, body in (
            ("/v1/chat/completions", {"messages": messages}),
            ("/v1/completions", {"prompt": "a"}),
            ("/v1/messages", {"messages": messages, "max_tokens": 5}),
            ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ):
            answer = gateway.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
        long = gateway.post("/v1/embeddings", json={"input": "word " * 20000})
        error = long.json()["error"]
        assert (long.status_code, error["param"]) == (400, "input")
        assert "8192" in error["message"] and "20001" in error["message"]
