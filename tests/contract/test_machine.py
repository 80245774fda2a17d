"""Section 19: doctor, bench, tune."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import CHAT_MODEL, Service

requirement = pytest.mark.requirement

CHECKS = {
    "config_folder", "state_folder", "cache_folder", "disk_space", "memory", "api_port", "gateway_port", "engine",
    "processor", "devices", "starter_load", "clock", "proxy", "hub",
}  # fmt: skip


def cli(service: Service, home: Path, *arguments: str) -> Any:
    """The JSON that a command prints; its own files go to a home of its own."""
    environment = os.environ | {"FOUNDRYLOCAL_URL": service.root, "FOUNDRYLOCAL_HOME": str(home)}
    command = [sys.executable, "-m", "foundrylocal", *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@requirement("19.doctor")
def test_each_check_has_a_status_and_what_to_do(api: Service, tmp_path: Path) -> None:
    answer = api.get("/doctor", timeout=100).json()
    assert answer["total_count"] == len(answer["checks"])
    assert {check["name"] for check in answer["checks"]} >= CHECKS
    for check in answer["checks"]:
        assert check["status"] in ("ok", "warning", "error")
        assert check["message"]
        assert (check["action"] is None) == (check["status"] == "ok"), check
    assert {check["name"] for check in cli(api, tmp_path, "doctor")["checks"]} >= CHECKS


@requirement("19.bench")
def test_a_benchmark_has_every_figure_and_is_compared_with_the_last_run(
    running_api: Service, tmp_path: Path
) -> None:
    first = cli(running_api, tmp_path, "bench", CHAT_MODEL)
    assert {"processor", "cores", "memory", "system"} <= first["machine"].keys()
    (figures,) = first["runs"]
    assert figures["prefill_tokens_per_second"] > 0
    assert figures["decode_tokens_per_second"] > 0
    assert [(one["clients"], one["first_token_ms"] > 0) for one in figures["by_clients"]] == [
        (1, True),
        (4, True),
        (16, True),
    ]
    assert first["previous"] == [None]
    assert cli(running_api, tmp_path, "bench", CHAT_MODEL)["previous"][0]["figures"] == figures


@requirement("19.tune")
def test_tuning_is_one_operation_that_says_what_it_measured(api: Service) -> None:
    events = api.events(f"/models/{CHAT_MODEL}/tune-stream")
    assert [event["type"] for event in events].count("success") == 1
    data = events[-1]["data"]
    plain = api.post(f"/models/{CHAT_MODEL}/tune", timeout=150).json()
    assert plain.keys() == data.keys()
    assert plain["success"]
    assert plain["is_saved"] == (plain["before"]["options"] != plain["after"]["options"])
    assert plain["total_count"] == len(plain["trials"]) > 0
    api.http.delete(f"/models/{CHAT_MODEL}/preset")
