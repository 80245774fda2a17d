"""`foundrylocal prompt-cache` against a scripted service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.cli.commands.prompt_cache import age
from tests.fakes.management_api import Run, Script

ENTRY = {
    "model": "Tiny-GGUF",
    "prompts": 2,
    "tokens": 4120,
    "bytes_formatted": "92.4 MB",
    "age_seconds": 190,
    "hits": 1,
}
CLEARED = {"message": "Saved prompts removed", "removed": 2, "freed_formatted": "92.4 MB"}


def listing(*models: Any, limit_bytes: int = 1 << 31) -> dict[str, Any]:
    return {"models": list(models), "total_count": len(models), "limit_bytes": limit_bytes}


def test_list_is_a_table(service: Script, run: Run) -> None:
    service.on("GET /prompt-cache", listing(ENTRY))
    code, out, _ = run("prompt-cache", "list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["MODEL", "PROMPTS", "TOKENS", "SIZE", "AGE", "HITS"],
        ["Tiny-GGUF", "2", "4120", "92.4", "MB", "3", "min", "1"],
    ]


def test_list_as_json(service: Script, run: Run) -> None:
    service.on("GET /prompt-cache", listing(ENTRY))
    assert json.loads(run("prompt-cache", "list", "--json")[1])["models"] == [ENTRY]


def test_an_empty_list_says_why(service: Script, run: Run) -> None:
    service.on("GET /prompt-cache", listing())
    assert (
        run("prompt-cache", "list")[1] == "No prompts are saved. That happens when a model leaves memory.\n"
    )
    service.on("GET /prompt-cache", listing(limit_bytes=0))
    assert run("prompt-cache", "list")[1].startswith("The prompt cache is off. Next:")


def test_clear_says_what_was_freed(service: Script, run: Run) -> None:
    service.on("DELETE /prompt-cache", CLEARED)
    assert run("prompt-cache", "clear")[:2] == (0, "Saved prompts removed: 2, 92.4 MB freed\n")
    service.on("DELETE /prompt-cache", {**CLEARED, "message": "No prompts are saved", "removed": 0})
    assert run("prompt-cache", "clear")[1] == "No prompts are saved\n"


def test_clear_takes_one_model_whatever_is_in_its_name(service: Script, run: Run) -> None:
    service.on("DELETE /prompt-cache/org%2FTiny-GGUF", CLEARED)
    assert run("prompt-cache", "clear", "org/Tiny-GGUF")[0] == 0
    assert service.calls[-1][0] == "DELETE /prompt-cache/org%2FTiny-GGUF"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (172800, "2 d")]
)
def test_ages(seconds: int, text: str) -> None:
    assert age(seconds) == text
