"""`foundrylocal set` against a scripted service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.management_api import Run, Script

PATH = "/models/Tiny-GGUF/preset"
SHOWN: dict[str, Any] = {
    "model": "Tiny-GGUF",
    "saved": {"temperature": 0.2},
    "effective": {"context_size": 8192, "temperature": 0.2, "system_prompt": None},
    "sources": {"context_size": "auto", "temperature": "preset", "system_prompt": "auto"},
}
CHANGED: dict[str, Any] = {
    **SHOWN,
    "success": True,
    "message": "Preset saved successfully",
    "applies": {"temperature": "at_once", "context_size": "next_load"},
}


def test_without_values_it_shows_what_is_in_force(service: Script, run: Run) -> None:
    service.on(f"GET {PATH}", SHOWN)
    code, out, _ = run("set", "Tiny-GGUF")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["KEY", "VALUE", "FROM"],
        ["context_size", "8192", "auto"],
        ["temperature", "0.2", "preset"],
        ["system_prompt", "null", "auto"],
    ]
    assert json.loads(run("set", "Tiny-GGUF", "--json")[1]) == SHOWN


def test_values_are_numbers_lists_or_text(service: Script, run: Run) -> None:
    service.on(f"POST {PATH}", CHANGED)
    values = [
        "temperature=0.2",
        "stop=END",
        "pinned=true",
        "seed=null",
        "system_prompt=1. Be brief",
        "kv_cache_type=q8_0",
    ]
    code, out, _ = run("set", "Tiny-GGUF", *values, 'lora=[{"model": "tone"}]')
    assert code == 0
    assert service.calls[-1] == (
        f"POST {PATH}",
        {
            "temperature": 0.2,
            "stop": "END",
            "pinned": True,
            "seed": None,
            "system_prompt": "1. Be brief",
            "kv_cache_type": "q8_0",
            "lora": [{"model": "tone"}],
        },
    )
    assert out.splitlines() == [
        "Preset saved successfully",
        "  temperature takes effect immediately",
        "  context_size takes effect with the next load",
    ]


def test_a_dry_run_and_a_reset(service: Script, run: Run) -> None:
    service.on(f"POST {PATH}", {**CHANGED, "message": "Preset is valid; nothing was saved"})
    service.on(f"DELETE {PATH}", {**CHANGED, "message": "Preset removed successfully", "applies": {}})
    assert run("set", "Tiny-GGUF", "temperature=0.2", "--dry-run", "--show")[0] == 0
    assert service.calls[-1][1] == {"temperature": 0.2, "dry_run": True}
    assert run("set", "Tiny-GGUF", "--reset") == (0, "Preset removed successfully\n", "")


@pytest.mark.parametrize(
    "arguments", [["temperature"], ["=1"], ["--reset", "temperature=1"], ["--reset", "--dry-run"]]
)
def test_what_cannot_be_meant_is_refused(service: Script, run: Run, arguments: list[str]) -> None:
    code, _, err = run("set", "Tiny-GGUF", *arguments)
    assert code == 2 and err.startswith("Error: ")


def test_what_the_service_refuses_names_the_field(service: Script, run: Run) -> None:
    error = {
        "message": "The request is not valid",
        "type": "t",
        "code": "invalid_request",
        "details": "temperature: too hot",
    }
    service.on(f"POST {PATH}", (400, {"error": error}))
    code, _, err = run("set", "Tiny-GGUF", "temperature=9")
    assert code == 1 and "temperature: too hot" in err
