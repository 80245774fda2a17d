"""`foundrylocal show`: everything about one model."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.render import facts
from foundrylocal.cli.values import written


def command(model: Model, as_json: AsJson = False) -> None:
    """Show what a model is, what it can do and what it needs."""
    answer = ManagementClient().get(model_path(model))
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    gguf = answer["gguf"] or {}
    facts(
        [
            ("Model", answer["simple_name"]),
            ("Full name", answer["model_id"]),
            ("State", _state(answer)),
            ("Problem", answer["problem"]),
            ("Family", answer["family"]),
            ("License", answer["license"]),
            ("Size", _size(answer)),
            ("Quantization", _known(answer["quantization"])),
            ("File", answer["file_size_formatted"] if answer["file_size_bytes"] else "unknown size"),
            ("Context", _tokens(gguf.get("context_length") or answer["context_length"])),
            ("Can do", ", ".join(answer["capabilities"]) or None),
            ("Architecture", gguf.get("architecture")),
            ("Memory", _memory(answer["memory"])),
            ("Options", _pairs((answer["options"] or {}).get("effective"))),
            *(
                ("Note", f"{name}: {why}")
                for name, why in (answer["options"] or {}).get("reasons", {}).items()
            ),
            ("Preset", _pairs(answer["preset"])),
        ]
    )


def _state(answer: dict[str, Any]) -> str:
    if answer["is_loaded"]:
        return f"loaded since {answer['loaded_at']}"
    if answer["is_downloading"]:
        return "downloading"
    return "downloaded" if answer["is_downloaded"] else "not downloaded"


def _known(text: str) -> str | None:
    return None if text == "unknown" else text


def _size(answer: dict[str, Any]) -> str | None:
    size = _known(answer["size"])
    return f"{size} parameters" if size else None


def _tokens(count: int | None) -> str | None:
    return f"{count:,} tokens" if count else None


def _memory(memory: dict[str, Any] | None) -> str | None:
    if memory is None:
        return None
    at_least = "at least " if memory["is_lower_bound"] else ""
    context = "" if memory["is_lower_bound"] else f" with {memory['context_size']:,} tokens of context"
    fits = "fits now" if memory["fits_now"] else "does not fit now"
    return f"{at_least}{memory['total_formatted']}{context}; {fits}"


def _pairs(options: dict[str, Any] | None) -> str | None:
    """Options as `foundrylocal set` takes them; those without a value are left out."""
    given = {name: value for name, value in (options or {}).items() if value not in (None, [], {})}
    return " ".join(f"{name}={written(value)}" for name, value in given.items()) or None
