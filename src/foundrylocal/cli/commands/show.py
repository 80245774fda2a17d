"""`foundrylocal show`: everything about one model."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.model_facts import languages_of, purpose_of
from foundrylocal.cli.render import facts
from foundrylocal.cli.values import written


def command(model: Model, as_json: AsJson = False) -> None:
    """Show what a model is, what it can do and what it needs.

    \b
    Examples:
      foundrylocal show SmolLM2-135M-Instruct-Q4_1-GGUF
    """
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
            ("License", answer["license"] or "unknown"),
            ("Purpose", _purpose(answer)),
            ("Languages", languages_of(answer)),
            ("Size", _size(answer)),
            ("Quantization", answer["quantization"]),
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


def _purpose(answer: dict[str, Any]) -> str:
    if answer.get("tuning") == "base":
        return "base model: it continues text and is not made for conversations"
    return purpose_of(answer) or "unknown"


def _size(answer: dict[str, Any]) -> str:
    size = answer["size"]
    return str(size) if size == "unknown" else f"{size} parameters"


def _tokens(count: int | None) -> str:
    return f"{count:,} tokens" if count else "unknown"


def _memory(memory: dict[str, Any] | None) -> str:
    if memory is None:
        return "unknown"
    at_least = "at least " if memory["is_lower_bound"] else ""
    context = ", its context not counted" if memory["is_lower_bound"] else _with_context(memory)
    fits = "fits now" if memory["fits_now"] else "does not fit now"
    return f"{at_least}{memory['total_formatted']}{context}; {fits}"


def _with_context(memory: dict[str, Any]) -> str:
    return f" with {memory['context_size']:,} tokens of context"


def _pairs(options: dict[str, Any] | None) -> str | None:
    """Options as `foundrylocal set` takes them; those without a value are left out."""
    given = {name: value for name, value in (options or {}).items() if value not in (None, [], {})}
    return " ".join(f"{name}={written(value)}" for name, value in given.items()) or None
