"""`foundrylocal bench` against a scripted service: one server is used as it is, and every model is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.management_api import MODEL, Run, Script, running

OTHER = MODEL | {"model_id": "org/Other-GGUF", "simple_name": "Other-GGUF"}
CHAT = "POST /v1/chat/completions"


def answer(tokens: int = 4) -> list[object]:
    usage = {"prompt_tokens": 40, "completion_tokens": tokens}
    return [
        *({"choices": [{"delta": {"content": "a"}}]} for _ in range(tokens)),
        {"choices": [], "usage": usage},
        "[DONE]",
    ]


@pytest.fixture
def served(service: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A running server with two models on disk, and a home for the history."""
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    service.on("GET /models/Other-GGUF", OTHER)
    service.on("GET /status", running(service.url))
    service.on(CHAT, answer())
    return service


def test_a_table_with_the_machine_and_the_last_run(served: Script, run: Run) -> None:
    code, out, _ = run("bench", "Tiny-GGUF")
    assert code == 0
    assert "Processor" in out
    assert "first token ms, 16 clients" in out
    assert "compared with the last run" not in out
    assert "compared with the last run" in run("bench", "Tiny-GGUF")[1]


def test_two_models_side_by_side_as_json(served: Script, run: Run) -> None:
    code, out, progress = run("bench", "Tiny-GGUF", "--compare", "Other-GGUF", "--json")
    assert code == 0, progress
    report = json.loads(out)
    assert [one["model"] for one in report["runs"]] == ["Tiny-GGUF", "Other-GGUF"]
    assert report["previous"] == [None, None]
    assert "Other-GGUF: 16 clients" in progress
    asked = {body["model"] for call, body in served.calls if call == CHAT}
    assert asked == {"Tiny-GGUF", "Other-GGUF"}
    assert not [call for call, _ in served.calls if call in ("POST /switch-model", "POST /stop")]


def test_an_unknown_model_is_refused_before_anything_is_measured(served: Script, run: Run) -> None:
    refusal = {"message": "Model 'nope' not found in registry", "type": "t", "code": "model_not_found"}
    served.on("GET /models/nope", (404, {"error": refusal}))
    code, _, error = run("bench", "Tiny-GGUF", "--compare", "nope")
    assert code == 1 and "Next: foundrylocal list --all" in error
    assert CHAT not in [call for call, _ in served.calls]


def test_an_error_of_the_gateway_ends_it(served: Script, run: Run) -> None:
    served.on(
        CHAT, (507, {"error": {"message": "Not enough memory", "code": "insufficient_memory", "type": "x"}})
    )
    code, _, error = run("bench", "Tiny-GGUF")
    assert code == 1
    assert "Not enough memory" in error
