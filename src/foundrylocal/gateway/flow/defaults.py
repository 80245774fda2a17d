"""What a model's preset adds to a request: values for the fields that the request does not have.

All dialects come here once the model of the request is known, with their request in the engine's form, so a preset
holds for all of them. Invariant: what a request says itself is never changed, and a constraint that its answer has to
keep is not cut short by a stop text of the preset.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import anyio.to_thread
import msgspec

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Body, engine_seed
from foundrylocal.gateway.dialects.by_chat import CHAT_PATH, COUNT_PATH
from foundrylocal.gateway.dialects.logprobs import MAX_ALTERNATIVES
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Ability
from foundrylocal.wire.presets import Preset

_SAMPLING: Final = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
    *("seed", "stop"),
)
# The field of a body that says how long an answer may be, by dialect.
_LENGTHS: Final = ("max_tokens", "max_output_tokens")
_OF_MESSAGES: Final = frozenset({CHAT_PATH, COUNT_PATH, "/apply-template"})
_LARGE_BYTES: Final = 262_144  # more is decoded in a thread

_Fields = dict[str, msgspec.Raw]
_decode_fields = msgspec.json.Decoder(_Fields).decode
_encode = msgspec.json.encode


class _Role(msgspec.Struct):
    role: str = ""


_decode_roles = msgspec.json.Decoder(list[_Role]).decode


async def use_defaults(request: InferenceRequest, preset: Preset) -> None:
    """Give the request the values of its model's preset, in place of those of any other model's."""
    if request.preset == preset:
        return
    request.withdraw_defaults()
    values = _values_for(request, preset)
    if values or (
        request.engine.path in _OF_MESSAGES and (preset.system_prompt or preset.chat_template_kwargs)
    ):
        if len(request.engine.body) > _LARGE_BYTES:
            engine = await anyio.to_thread.run_sync(with_defaults, request.engine, preset, values)
        else:
            engine = with_defaults(request.engine, preset, values)
        request.take_defaults(engine, _filled(request.body, values))
    request.preset = preset


def _values_for(request: InferenceRequest, preset: Preset) -> dict[str, Any]:
    """The sampling values of the preset for a request that generates text; empty for others."""
    if request.route.ability is not Ability.GENERATE or not request.route.takes_slot:
        return {}
    values = {name: value for name in _SAMPLING if (value := getattr(preset, name)) is not None}
    if "seed" in values:
        values["seed"] = engine_seed(values["seed"])
    if request.engine.constraint is not None:
        values.pop("stop", None)
    if preset.max_tokens is not None and request.body.wanted_tokens is None:
        # Admission limits the answer, which the engine takes before its own field.
        values |= dict.fromkeys(_LENGTHS, preset.max_tokens)
    return values


def _filled(body: Body, values: dict[str, Any]) -> dict[str, Any]:
    """The values for the fields that the body knows and does not have: answers repeat some of them."""
    names = [name for name in values if name in body.__struct_fields__ and getattr(body, name) is None]
    return {name: values[name] for name in names}


def with_defaults(engine: EngineRequest, preset: Preset, values: dict[str, Any]) -> EngineRequest:
    """The engine's request with the values that it does not have, the system prompt and the template's arguments."""
    fields: dict[str, Any] = _decode_fields(engine.body)
    added = {name: value for name, value in values.items() if name not in fields and name not in _LENGTHS}
    fields |= added
    if "stop" in added:
        _show_more_tokens(engine.path, fields)
    if engine.path in _OF_MESSAGES:
        if preset.chat_template_kwargs:
            own = _decode_fields(fields.get("chat_template_kwargs", b"{}"))
            fields["chat_template_kwargs"] = {**preset.chat_template_kwargs, **own}
        if preset.system_prompt and "messages" in fields:
            fields["messages"] = _with_system_prompt(fields["messages"], preset.system_prompt)
    return replace(engine, body=_encode(fields))


def _show_more_tokens(path: str, fields: dict[str, Any]) -> None:
    """With stop texts, the tokens of an answer are named by their alternatives: see `dialects/logprobs.py`."""
    wanted = bytes(fields.get("logprobs", b""))
    if path == CHAT_PATH and wanted == b"true":
        fields["top_logprobs"] = MAX_ALTERNATIVES
    elif path != CHAT_PATH and wanted.isdigit():
        fields["logprobs"] = MAX_ALTERNATIVES


def _with_system_prompt(messages: msgspec.Raw, prompt: str) -> msgspec.Raw:
    raw = bytes(messages)
    if any(message.role == "system" for message in _decode_roles(raw)):
        return messages
    first = _encode({"role": "system", "content": prompt})
    rest = raw.lstrip()[1:].lstrip()
    return msgspec.Raw(b"[" + first + (b"" if rest.startswith(b"]") else b",") + rest)
