"""Parameters of Ollama's models as values of a preset, and back."""

from __future__ import annotations

from typing import Any

from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.wire.presets import Preset

_SAME = (
    *("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
    *("seed", "stop"),
)
# Ollama's name of a parameter, and the preset's.
_NAMES = {**{name: name for name in _SAME}, "num_ctx": "context_size", "num_predict": "max_tokens"}
# About Ollama's own runner: they change no answer.
_IGNORED = frozenset(
    {
        *("num_keep", "num_batch", "num_gpu", "num_thread", "main_gpu", "low_vram", "numa", "use_mmap"),
        *("use_mlock", "vocab_only", "f16_kv", "logits_all", "embedding_only", "penalize_newline"),
    }
)
_WIDTH = 30


def preset_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """The values of a preset. Raises InvalidRequest for a parameter that a preset does not have."""
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if value is None or name in _IGNORED:
            continue
        if name not in _NAMES:
            refuse(f"parameters.{name[:100]}", "is not supported: send it as an option of each request")
        if name == "num_predict" and isinstance(value, int) and value <= 0:
            continue  # any length
        if name == "seed" and isinstance(value, int) and value < 0:
            continue  # a random one
        values[_NAMES[name]] = value
    return values


def parameter_lines(preset: Preset) -> str:
    """The parameters of a preset as a Modelfile writes them, one a line."""
    lines: list[str] = []
    for name, ours in _NAMES.items():
        value = getattr(preset, ours)
        if value is None or value == "auto":
            continue
        values = value if isinstance(value, list) else [value]
        lines += [f"{name:<{_WIDTH}} {_shown(one)}" for one in values]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
