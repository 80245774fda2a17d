"""Row 16 of the reliability page as a caller sees it: a hub in trouble is an error of one download only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.hub import FakeHub
from tests.running import FAKE_WORKER, running

MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"


@pytest.mark.parametrize("fault", ["loop", "status:429:86400", "status:403"])
def test_row_16_a_hub_in_trouble_is_a_download_error_and_the_registry_still_lists(
    home: Path, fault: str
) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        before = service.get("/models").json()
        hub.hub_faults.append(fault)
        answer = service.post(f"/models/{MODEL}/download")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "download_failed")
        assert hub.asked
        assert service.get("/models").json() == before
        assert MODEL in {model["simple_name"] for model in before["models"]}
        assert service.get("/models/downloaded").json()["total_count"] == 0
        assert service.get("/downloads").json()["total_count"] == 0


def test_row_16_the_registry_lists_while_a_hub_keeps_a_download_waiting(home: Path) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        before = service.get("/models").json()
        hub.hub_faults.append("stall")
        with service.http.stream("POST", f"/models/{MODEL}/download-stream") as answer:
            assert next(answer.iter_lines()).startswith("data: ")
            assert service.get("/models").json() == before
            assert service.get("/downloads").json()["total_count"] == 1
            assert service.http.delete(f"/downloads/{MODEL}").status_code == 200
