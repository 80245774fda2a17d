"""The engine's embeddings in Ollama's form, of both endpoints."""

from __future__ import annotations

import math

from foundrylocal.gateway.dialects.base import LOAD_ONLY, EngineRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.ollama.answer import durations
from foundrylocal.gateway.dialects.ollama.base import Ollama
from foundrylocal.gateway.dialects.ollama.engine import embedding_request
from foundrylocal.gateway.dialects.ollama.shapes import EmbedBody, EmbeddingsBody
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.stats.request_stats import RequestStats

ENGINE_PATH = "/v1/embeddings"


class Embed(Ollama[EmbedBody]):
    """POST /api/embed: one text or several."""

    def __init__(self) -> None:
        super().__init__(ENGINE_PATH, EmbedBody)

    def to_engine(self, body: EmbedBody) -> EngineRequest:
        if "" in body.texts:
            refuse("input", "must not contain an empty string")
        return embedding_request(self.engine_path, body.texts) if body.texts else LOAD_ONLY

    def idle_answer(self, body: EmbedBody) -> Json:
        return {"model": body.model, "embeddings": []}

    def answer(self, answer: Json, body: EmbedBody, stats: RequestStats) -> Json:
        vectors = [_shortened(vector, body.dimensions) for vector in _vectors(answer)]
        count = (answer.get("usage") or {}).get("prompt_tokens", 0)
        return {"model": body.model, "embeddings": vectors, **durations(stats), "prompt_eval_count": count}


class Embeddings(Ollama[EmbeddingsBody]):
    """POST /api/embeddings: the older endpoint, of one text."""

    def __init__(self) -> None:
        super().__init__(ENGINE_PATH, EmbeddingsBody)

    def to_engine(self, body: EmbeddingsBody) -> EngineRequest:
        return embedding_request(self.engine_path, body.texts) if body.texts else LOAD_ONLY

    def idle_answer(self, body: EmbeddingsBody) -> Json:
        return {"embedding": []}

    def answer(self, answer: Json, body: EmbeddingsBody, stats: RequestStats) -> Json:
        return {"embedding": _vectors(answer)[0]}


def _vectors(answer: Json) -> list[list[float]]:
    return [entry["embedding"] for entry in sorted(answer["data"], key=lambda entry: int(entry["index"]))]


def _shortened(vector: list[float], length: int | None) -> list[float]:
    """The first values of a vector, scaled to the length 1 again."""
    if length is None or length >= len(vector):
        return vector
    part = vector[:length]
    size = math.hypot(*part)
    return [value / size for value in part] if size else part
