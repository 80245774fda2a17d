"""Embeddings and reranking of the real engine through the gateway, the former by the `openai` package.

No embedding model is small enough to be fetched by a test, so the starter model serves as one: a copy whose
header says that its vectors are to be averaged, which is what makes the engine compute embeddings.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from pydantic import TypeAdapter

from tests.published_schemas import check
from tests.real_models import store_variant
from tests.running import Service, running

pytestmark = pytest.mark.model
EMBEDDING_MODEL = "nomic-embed-text-v1.5-Q8_0-GGUF"
RERANKING_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
MEAN, RANK = 1, 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("embedding-home")
    store_variant(home, EMBEDDING_MODEL, {"llama.pooling_type": MEAN})
    store_variant(home, RERANKING_MODEL, {"llama.pooling_type": RANK})
    with running(home) as found:
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
            check("embeddings", answer.json())
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


def test_documents_are_reranked(service: Service) -> None:
    documents = ["The sea", "A car", "import os"]
    with service.gateway() as gateway:
        asked = {"model": RERANKING_MODEL, "query": "sea", "documents": documents}
        body = gateway.post("/v1/rerank", json=asked).json()
        assert sorted(one["index"] for one in body["results"]) == [0, 1, 2]
        assert body["model"].endswith(RERANKING_MODEL) and body["usage"]["total_tokens"] > 0
        assert len(gateway.post("/v1/rerank", json=asked | {"top_n": 2}).json()["results"]) == 2
        for path, refused in (("/v1/embeddings", {"input": "a"}), ("/v1/completions", {"prompt": "a"})):
            answer = gateway.post(path, json=refused | {"model": RERANKING_MODEL})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
