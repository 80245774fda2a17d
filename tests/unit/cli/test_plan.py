"""`foundrylocal plan`: what it asks, what it prints for people, and its exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.management_api import MODEL, Run, Script

GB = 1 << 30
PLAN: dict[str, Any] = {
    "model": "Tiny-GGUF",
    "model_id": "org/Tiny-GGUF",
    "action": "download_and_load",
    "fits": True,
    "effective": {"context_size": 32768, "parallel": 4},
    "sources": {"context_size": "auto", "parallel": "setting"},
    "memory": {
        "needed_bytes": 3 * GB,
        "weights_bytes": 2 * GB,
        "kv_cache_bytes": GB // 2,
        "compute_bytes": GB // 2,
        "free_bytes": 6 * GB,
        "reserve_bytes": GB // 2,
        "gpu": None,
    },
    "disk": {"needed_bytes": 2 * GB, "free_bytes": 90 * GB},
    "unloads": ["Other-GGUF", "Third-GGUF"],
    "drains": ["Other-GGUF"],
    "seconds": {"download": 50.0, "load": 2.4, "basis": {"download": "estimated", "load": "measured"}},
    "node": "local",
    "refusal": None,
    "warnings": ["The model is not downloaded yet."],
}


def test_a_plan_is_shown_in_words(service: Script, run: Run) -> None:
    service.on("POST /plan", PLAN)
    code, out, _ = run("plan", "Tiny-GGUF")
    assert code == 0
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["Model", "Tiny-GGUF"],
        ["Would", "download and load the model"],
        ["Fits", "yes"],
        ["Context", "32,768 tokens (auto), shared by 4 requests at a time"],
        ["Memory", "3.0 GB of 6.0 GB free (model 2.0 GB, context 512.0 MB, work space 512.0 MB)"],
        ["Disk", "2.0 GB of 90.0 GB free"],
        ["Unloads", "Other-GGUF (still answering), Third-GGUF"],
        ["Time", "download about 50 s (estimated), load about 2.4 s (measured)"],
        ["Note", "The model is not downloaded yet."],
    ]
    assert service.calls[-1] == ("POST /plan", {"model_name": "Tiny-GGUF"})


def test_a_context_is_asked_for(service: Script, run: Run) -> None:
    service.on("POST /plan", PLAN)
    run("plan", "Tiny-GGUF", "--context", "16384")
    assert service.calls[-1][1] == {"model_name": "Tiny-GGUF", "options": {"context_size": 16384}}


def test_a_model_that_does_not_fit_says_why_and_the_exit_code_is_1(service: Script, run: Run) -> None:
    refusal = {
        "message": "Not enough memory to load the model",
        "code": "insufficient_memory",
        "details": "Needed: 3 GB",
    }
    service.on("POST /plan", PLAN | {"fits": False, "refusal": refusal, "unloads": []})
    code, out, _ = run("plan", "Tiny-GGUF")
    assert code == 1
    assert "no: Not enough memory to load the model" in out
    assert "Needed: 3 GB" in out
    assert "Unloads" not in out


@pytest.mark.parametrize("fits", [True, False])
def test_json_is_the_answer_itself(service: Script, run: Run, fits: bool) -> None:
    answer = PLAN | {"fits": fits, "model": MODEL["simple_name"]}
    service.on("POST /plan", answer)
    code, out, _ = run("plan", "Tiny-GGUF", "--json")
    assert (code, json.loads(out)) == (0 if fits else 1, answer)
