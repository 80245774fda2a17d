"""/api/create: a further name of a model, with parameters and a system prompt of its own.

Ollama's created models share the weights of the one that they are made from, and so do these: an alias with a preset.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.ollama.library.modelfile import read_modelfile
from foundrylocal.gateway.dialects.ollama.library.parameters import preset_values
from foundrylocal.gateway.dialects.ollama.library.shapes import CreateBody
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.wire.presets import Preset

LINES: tuple[Json, ...] = (
    {"status": "reading model metadata"},
    {"status": "creating system layer"},
    {"status": "writing manifest"},
    {"status": "success"},
)
_REFUSED = {
    "files": "is not supported: import GGUF files with POST /models/import of the management API",
    "adapters": "is not supported: adapters are part of a model's preset (lora)",
    "template": "is not supported: the model's own template is used",
    "messages": "is not supported: send the messages with each request, or use 'system'",
    "quantize": "is not supported: pull the model with another quantization",
}


def read_create(body: CreateBody) -> tuple[str, Preset]:
    """The name of the model that the new one is made from, and the preset of the new one. Raises InvalidRequest."""
    for name, reason in _REFUSED.items():
        if getattr(body, name):
            refuse(name, reason)
    base, system, parameters = body.from_, body.system, dict(body.parameters or {})
    if body.modelfile:
        written = read_modelfile(body.modelfile)
        if written.others:
            refuse("modelfile", f"has an instruction that is not supported: {written.others[0][:40]}")
        base, system = base or written.base, system or written.system
        parameters = {**written.parameters, **parameters}
    if not base:
        refuse("from", "is required: name the model that the new one is made from")
    values: dict[str, Any] = preset_values(parameters)
    if system:
        values["system_prompt"] = system
    return base, _preset(values)


def _preset(values: dict[str, Any]) -> Preset:
    try:
        return Preset.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        refuse(f"parameters.{first['loc'][0]}", f"is not valid: {first['msg']}")
