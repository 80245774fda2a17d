"""What the endpoints take whose answers pass as they are."""

from __future__ import annotations

from tests.unit.gateway.dialects.prepare import for_engine


def test_documents_may_be_objects() -> None:
    sent = for_engine("/v1/rerank", {"query": "a", "documents": ["b", {"text": "c", "id": 5}]})
    assert sent["documents"] == ["b", "c"]
