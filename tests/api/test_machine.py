"""GET /machine and POST /markdown as callers see them."""

from __future__ import annotations

from tests.running import CHAT_MODEL, Service


def test_the_machine_lists_what_is_in_memory_and_on_disk(service: Service) -> None:
    before = service.get("/machine").json()
    assert before["models"] == [] and before["gpus"] == []
    memory, disk = before["memory"], before["disk"]
    assert 0 <= memory["free_bytes"] <= memory["available_bytes"] <= memory["total_bytes"]
    assert (memory["evictable_bytes"], memory["budget_bytes"]) == (0, None)
    assert 0 < disk["models_bytes"] < disk["total_bytes"] and disk["partial_bytes"] == 0
    service.start()
    (model,) = service.get("/machine").json()["models"]
    assert (model["model"], model["state"], model["is_pinned"]) == (CHAT_MODEL, "ready", True)
    assert model["memory_bytes"] > 0 and model["estimated_bytes"] > 0
    assert model["unloads_at"] is None, "the server's own model stays"


def test_a_model_loaded_beside_the_servers_own_is_evictable_and_says_when_it_leaves(service: Service) -> None:
    other = "gemma-3-270m-Q4_K_M-GGUF"
    service.start()
    service.post(f"/models/{other}/load")
    machine = service.get("/machine").json()
    (found,) = [one for one in machine["models"] if one["model"] == other]
    assert not found["is_pinned"] and found["unloads_at"].endswith("Z")
    assert machine["memory"]["evictable_bytes"] > 0


def test_markdown_is_a_tree_and_too_much_of_it_is_refused(service: Service) -> None:
    answer = service.post("/markdown", {"text": "**a** <script>"})
    strong = {"tag": "strong", "children": ["a"]}
    assert answer.json() == {"nodes": [{"tag": "p", "children": [strong, " <script>"]}]}
    for body, code in (
        ({"text": "a" * 40_000}, "invalid_request"),
        ({}, "invalid_request"),
        ({"text": 1}, "invalid_request"),
    ):
        refused = service.post("/markdown", body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
