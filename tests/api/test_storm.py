"""Short versions of `make storm`: many clients at once, and chats that go on through switches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model
from tests.storm import chats_through_switches, storm


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_calls_is_answered_by_the_contract_and_leaves_nothing(service: Service, seed: int) -> None:
    counts = storm(service, clients=32, seconds=5, seed=seed)
    assert counts["start 200"] and counts["stop 200"] and counts["switch-model 200"]


def test_no_chat_fails_during_switches(service: Service) -> None:
    assert chats_through_switches(service, switches=10, clients=4) > 10


def test_no_chat_fails_when_one_model_must_leave_for_the_other(home: Path) -> None:
    for model in (CHAT_MODEL, BASE_MODEL):
        store_tiny_model(home, model)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB="60") as service:
        assert chats_through_switches(service, switches=6, clients=4) > 6
