"""POST /plan over HTTP: every field, and that a start, a switch and a load do what it said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    running,
    store_tiny_model,
)

ABSENT = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
requirement = pytest.mark.requirement


def plan_of(service: Service, model: str = CHAT_MODEL, **body: Any) -> dict[str, Any]:
    answer = service.post("/plan", {"model_name": model, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def tight(home: Path) -> Any:
    """A service with so many MB for all models together."""

    def run(budget_mb: int) -> Any:
        for name in (CHAT_MODEL, BASE_MODEL):
            store_tiny_model(home, name, context_length=32_768)
        return running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB=str(budget_mb))

    return run


@requirement("14.plan")
def test_a_plan_has_every_field_and_changes_nothing(service: Service) -> None:
    plan = plan_of(service, CHAT_MODEL_ID.upper(), options={"parallel": 2, "kv_cache_type": "q8_0"})
    assert (plan["model"], plan["model_id"]) == (CHAT_MODEL, CHAT_MODEL_ID)
    assert (plan["action"], plan["fits"], plan["refusal"]) == ("load", True, None)
    assert plan["node"] == (service.node_name() or "local")
    effective, sources = plan["effective"], plan["sources"]
    assert (effective["context_size"], effective["parallel"], effective["kv_cache_type"]) == (2048, 2, "q8_0")
    assert (sources["context_size"], sources["parallel"]) == ("auto", "request")
    memory = plan["memory"]
    assert memory["needed_bytes"] == sum(
        memory[f"{part}_bytes"] for part in ("weights", "kv_cache", "compute")
    )
    assert memory["free_bytes"] > 0
    assert memory["reserve_bytes"] == 512 << 20
    assert memory["gpu"] is None
    assert (plan["disk"], plan["unloads"], plan["drains"], plan["warnings"]) == (None, [], [], [])
    assert plan["seconds"]["download"] == 0
    assert plan["seconds"]["load"] > 0
    assert plan["seconds"]["basis"]["load"] == "estimated"
    assert service.status()["status"] == "stopped"
    assert service.workers() == []


@requirement("14.seconds")
def test_after_a_load_its_time_was_measured_and_the_next_plan_says_so(service: Service) -> None:
    service.start()
    loaded = plan_of(service)
    assert (loaded["action"], loaded["seconds"]["load"]) == ("none", 0)
    service.post("/stop")
    seconds = plan_of(service)["seconds"]
    assert seconds["basis"]["load"] == "measured"
    assert 0 < seconds["load"] < 30


@requirement("14.plan")
def test_a_model_that_is_not_downloaded_says_what_the_disk_needs(service: Service) -> None:
    plan = plan_of(service, ABSENT)
    assert (plan["action"], plan["fits"]) == ("download_and_load", True)
    assert 0 < plan["disk"]["needed_bytes"] < plan["disk"]["free_bytes"]
    assert plan["seconds"]["basis"] == {"download": "estimated", "load": "estimated"}
    assert plan["seconds"]["download"] > 1
    assert "not downloaded yet" in plan["warnings"][0]
    refused = plan_of(service, ABSENT, options={"auto_download": False})
    assert (refused["fits"], refused["refusal"]["code"]) == (False, "model_not_downloaded")


@requirement("14.plan")
def test_what_is_wrong_with_the_body_is_an_error_and_not_a_plan(service: Service) -> None:
    assert service.post("/plan", {}).json()["error"]["code"] == "missing_model_name"
    assert service.post("/plan", {"model_name": "no-such-model"}).status_code == 404
    bad = service.post("/plan", {"model_name": CHAT_MODEL, "options": {"context_size": 1}})
    assert bad.status_code == 400
    assert "options.context_size" in bad.json()["error"]["details"]
    assert service.get("/plan").status_code == 405


@requirement("14.same")
def test_a_refusal_is_the_error_that_the_start_fails_with(tight: Any) -> None:
    with tight(30) as service:
        plan = plan_of(service)
        assert (plan["fits"], plan["effective"]["context_size"]) == (False, 4096)
        failed = service.post("/start", {"model_name": CHAT_MODEL})
        assert failed.status_code == 507
        assert failed.json()["error"] == plan["refusal"]


@requirement("14.same")
def test_a_damaged_model_is_refused_in_the_plan_as_in_the_start(home: Path) -> None:
    path = store_tiny_model(home)
    path.write_bytes(path.read_bytes()[:-1])
    with running(home, worker=FAKE_WORKER) as service:
        plan = plan_of(service)
        assert (plan["fits"], plan["refusal"]["code"]) == (False, "model_corrupted")
        assert service.post("/start", {"model_name": CHAT_MODEL}).json()["error"] == plan["refusal"]


@requirement("14.same")
def test_while_the_server_runs_a_plan_is_that_of_a_switch(tight: Any) -> None:
    with tight(80) as service:
        service.start()
        before = service.status()
        plan = plan_of(service, BASE_MODEL)
        assert (plan["fits"], plan["unloads"]) == (True, [CHAT_MODEL])
        assert service.status()["loaded_model_id"] == before["loaded_model_id"]
        answer = service.post("/switch-model", {"model_name": BASE_MODEL})
        assert answer.status_code == 200, answer.text
        assert len(service.workers()) == 1
        after = plan_of(service, BASE_MODEL)
        assert (after["action"], after["effective"]) == ("none", plan["effective"])
