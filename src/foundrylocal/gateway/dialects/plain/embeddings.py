"""Embeddings: the engine's answer is the published one; only the length of the vectors is compared."""

from __future__ import annotations

from typing import Any

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.plain.check import check_embedding
from foundrylocal.gateway.dialects.plain.dialect import Plain
from foundrylocal.gateway.dialects.plain.shapes import EmbeddingBody
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.stats.request_stats import RequestStats

_FLOAT_BYTES = 4


class Embeddings(Plain[EmbeddingBody]):
    """POST /v1/embeddings. A model gives vectors of its own length; that length may be named as `dimensions`."""

    def __init__(self) -> None:
        super().__init__("/v1/embeddings", EmbeddingBody, check_embedding)

    def answer(self, answer: Json, body: EmbeddingBody, stats: RequestStats) -> Json:
        if body.dimensions is not None:
            for entry in answer["data"]:
                length = _length(entry["embedding"])
                if length != body.dimensions:
                    refuse(
                        "dimensions", f"must be {length}, the length of this model's vectors, or be left out"
                    )
        return answer


def _length(vector: Any) -> int:
    """The numbers in a vector, which may be base64 of 32-bit floats."""
    if isinstance(vector, str):
        return (len(vector.rstrip("=")) * 3 // 4) // _FLOAT_BYTES
    return len(vector)
