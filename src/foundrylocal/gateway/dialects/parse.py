"""Bytes into a body: byte-order mark, depth, fields that belong to the engine alone, types and ranges."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from foundrylocal.errors import InvalidJson
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.dialects.hosted_tools import functions_of_choice, split_tools
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.limits.json_depth import MAX_DEPTH, is_too_deep

_BOM = b"\xef\xbb\xbf"
# The engine's own, not the published API's: slots, adapters, files of this machine, other templates.
_INTERNAL = frozenset(
    {
        *("id_slot", "slot_id", "lora", "control_vectors", "action", "filename", "image_data", "model_path"),
        *("mmproj", "chat_template", "chat_template_file", "grammar_file", "slot_save_path", "samplers"),
        *("multimodal_data", "prompt_file", "api_key", "hf_repo", "hf_file", "model_url", "media_path"),
    }
)
_INTERNAL_PREFIX = "speculative."
_MAX_WHOLE = 2.0**53
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
B = TypeVar("B", bound=Body)


def parse_body(
    raw: bytes, decoder: msgspec.json.Decoder[B], function_types: Collection[str | None] = ()
) -> B:
    """Decode a request. Raises InvalidJson, or InvalidRequest that names the field.

    `function_types` are the types of tools that the dialect's clients run; those of providers are left out.
    """
    raw = raw.removeprefix(_BOM)
    if is_too_deep(raw):
        raise InvalidJson(f"It is nested deeper than {MAX_DEPTH} levels.")
    try:
        fields = _keys.decode(raw)
        _refuse_internal(fields)
        hosted: list[str] = []
        if function_types and "tools" in fields:
            fields["tools"], hosted = split_tools(fields["tools"], function_types)
            if hosted and "tool_choice" in fields:
                fields["tool_choice"] = functions_of_choice(fields["tool_choice"], function_types)
            raw = msgspec.json.encode(fields) if hosted else raw
        body = _decode(raw, decoder)
        body.unsupported_tools = hosted
        return body
    except msgspec.ValidationError as error:
        refuse_invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"{error}.") from None


def _decode(raw: bytes, decoder: msgspec.json.Decoder[B]) -> B:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_with_whole_numbers(msgspec.json.decode(raw)), decoder.type)


def _with_whole_numbers(value: Any) -> Any:
    """The same JSON with 1 for 1.0, which is one number in JSON and in JavaScript, and two types here."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_WHOLE:
        return int(value)
    return value


def _refuse_internal(fields: dict[str, msgspec.Raw]) -> None:
    for name in fields:
        if name in _INTERNAL or name.startswith(_INTERNAL_PREFIX):
            refuse(name, "is not a field of this API")
