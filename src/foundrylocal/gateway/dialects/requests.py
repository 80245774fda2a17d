"""Bodies checked before they reach the engine: depth, fields, types, ranges, and what only looks harmless.

Invariant: what `prepare` returns is safe to hand to the engine; everything else is an InvalidRequest that
names its field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from foundrylocal.errors import InvalidJson
from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.dialects.anthropic import shapes as shapes_messages
from foundrylocal.gateway.dialects.anthropic import structured
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.dialects.responses import shapes as shapes_responses
from foundrylocal.gateway.dialects.responses.check import check_responses
from foundrylocal.gateway.dialects.usage import is_assembled, prompts_of
from foundrylocal.gateway.limits.grammar import check_grammar
from foundrylocal.gateway.limits.grammar_tree import GrammarTooMuch
from foundrylocal.gateway.limits.images import check_image
from foundrylocal.gateway.limits.json_depth import MAX_DEPTH, check_arguments, is_too_deep
from foundrylocal.gateway.limits.json_schema import check_schema
from foundrylocal.gateway.routes import Route

MAX_PROMPTS = 128
_BOM = b"\xef\xbb\xbf"
# Of the engine, not of the published API: slots, adapters, files of this machine, other templates.
_INTERNAL = frozenset(
    {
        *("id_slot", "slot_id", "lora", "control_vectors", "action", "filename", "image_data", "model_path"),
        *("mmproj", "chat_template", "chat_template_file", "grammar_file", "slot_save_path", "samplers"),
        *("multimodal_data", "prompt_file", "api_key", "hf_repo", "hf_file", "model_url", "media_path"),
    }
)
_INTERNAL_PREFIX = "speculative."


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that passed: `body` is what the engine gets, at `target`; `schema` when it goes by way of chat."""

    asked: shapes.Body
    target: str
    body: bytes
    has_image: bool
    has_audio: bool
    schema: shapes.Json | None = None


@cache
def _decoder(shape: type[shapes.Body]) -> msgspec.json.Decoder[shapes.Body]:
    return msgspec.json.Decoder(shape)


_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def prepare(endpoint: Route, body: bytes) -> Prepared:
    """Check a body and write what the engine gets. Raises InvalidJson, InvalidRequest."""
    body = body.removeprefix(_BOM)
    if is_too_deep(body):
        raise InvalidJson(f"It is nested deeper than {MAX_DEPTH} levels.")
    try:
        _refuse_internal(_keys.decode(body))
        asked = _decoder(endpoint.shape).decode(body)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"{error}.") from None
    images, audio = _check(asked)
    if (
        isinstance(asked, shapes_messages.MessagesBody)
        and (schema := structured.schema_of(asked)) is not None
    ):
        chat = msgspec.json.encode(structured.chat_of(asked, schema))
        return Prepared(asked, structured.CHAT_PATH, chat, images, audio, schema)
    return Prepared(asked, endpoint.path, msgspec.json.encode(_for_engine(asked)), images, audio)


def _for_engine(asked: shapes.Body) -> dict[str, Any]:
    sent = {
        name: value
        for name in asked.__struct_fields__
        if name not in asked.own and (value := getattr(asked, name)) is not None
    }
    # The engine takes 0 as no logprobs at all; conformance removes the one alternative again.
    if isinstance(asked, shapes.ChatBody) and asked.logprobs and not asked.top_logprobs:
        sent["top_logprobs"] = 1
    if isinstance(asked, shapes.CompletionBody) and asked.logprobs == 0:
        sent["logprobs"] = 1
    sent |= _named_tool_only(asked)
    if is_assembled(asked):
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    return sent


def _named_tool_only(asked: shapes.Body) -> dict[str, Any]:
    """A tool chosen by name, as the only one of which one is required: the engine takes a name for 'auto'."""
    choice = getattr(asked, "tool_choice", None)
    if isinstance(choice, shapes.ChosenTool) and isinstance(asked, shapes.ChatBody):
        name = choice.function.name
        return {"tools": [t for t in asked.tools or () if t.function.name == name], "tool_choice": "required"}
    if isinstance(choice, shapes_responses.NamedOffer) and isinstance(asked, shapes_responses.ResponsesBody):
        return {"tools": [t for t in asked.tools or () if t.name == choice.name], "tool_choice": "required"}
    if (
        isinstance(asked, shapes_messages.CountBody)
        and asked.tool_choice
        and asked.tool_choice.type == "tool"
    ):
        named = asked.tool_choice
        any_ = shapes_messages.ToolChoice("any", None, named.disable_parallel_tool_use)
        return {"tools": [t for t in asked.tools or () if t.name == named.name], "tool_choice": any_}
    return {}


# --- before decoding ------------------------------------------------------------------------------------


def _refuse_internal(fields: dict[str, msgspec.Raw]) -> None:
    for name in fields:
        if name in _INTERNAL or name.startswith(_INTERNAL_PREFIX):
            refuse(name, "is not a field of this API")


# --- what types do not say ------------------------------------------------------------------------------


def _check(asked: shapes.Body) -> tuple[bool, bool]:
    """Whether it holds an image, and whether audio; raises InvalidRequest."""
    if isinstance(asked, shapes.Sampling):
        _check_sampling(asked)
    if isinstance(asked, shapes.ChatBody):
        _check_chat(asked)
        return _check_messages(asked.messages)
    if isinstance(asked, shapes.TemplateBody):
        _check_tools(asked.tools)
        return _check_messages(asked.messages)
    if isinstance(asked, shapes.CompletionBody):
        _check_completion(asked)
    elif isinstance(asked, shapes.EmbeddingBody):
        _check_embedding(asked)
    elif isinstance(asked, shapes.RerankBody):
        asked.documents = [one.text if isinstance(one, shapes.Document) else one for one in asked.documents]
    elif isinstance(asked, shapes_responses.ResponsesBody):
        return check_responses(asked), False
    elif isinstance(asked, shapes_messages.CountBody):
        return _check_turns(asked), False
    return False, False


def _check_sampling(asked: shapes.Sampling) -> None:
    if asked.seed is not None:
        asked.seed &= 0xFFFFFFFF
    if asked.grammar is not None and asked.json_schema is not None:
        refuse("json_schema", "cannot be combined with 'grammar'")
    if asked.grammar is not None:
        try:
            check_grammar(asked.grammar)
        except GrammarTooMuch as error:
            refuse("grammar", str(error))
    if asked.json_schema is not None:
        check_schema(asked.json_schema, "json_schema")
    for key in asked.logit_bias or {}:
        if not key.isdecimal() or int(key) >= 2**31:
            refuse("logit_bias", "must have token numbers as its keys")


_NOT_FOR_CHAT = {
    "functions": "is not supported any more: use 'tools'",
    "function_call": "is not supported any more: use 'tool_choice'",
    "audio": "is not supported: answers are text",
    "prediction": "is not supported",
    "web_search_options": "is not supported: nothing is searched for",
}


def _check_chat(asked: shapes.ChatBody) -> None:
    for name, reason in _NOT_FOR_CHAT.items():
        if getattr(asked, name) is not None:
            refuse(name, reason)
    if "audio" in (asked.modalities or ()):
        refuse("modalities", "must not hold 'audio': answers are text")
    if asked.top_logprobs is not None and not asked.logprobs:
        refuse("top_logprobs", "needs 'logprobs' to be true")
    if asked.stream_options is not None and not asked.stream:
        refuse("stream_options", "is for requests with 'stream': true")
    _check_format(asked.response_format)
    _check_tools(asked.tools)
    if isinstance(asked.tool_choice, shapes.ChosenTool):
        names = {tool.function.name for tool in asked.tools or ()}
        if asked.tool_choice.function.name not in names:
            refuse("tool_choice", "names a function that is not in 'tools'")
    elif asked.tool_choice == "required" and not asked.tools:
        refuse("tool_choice", "is 'required', and there are no 'tools'")


def _check_format(wanted: shapes.TextFormat | shapes.JsonFormat | shapes.SchemaFormat | None) -> None:
    if isinstance(wanted, shapes.SchemaFormat):
        if wanted.json_schema.schema is None:
            refuse("response_format.json_schema.schema", "is required")
        check_schema(wanted.json_schema.schema, "response_format.json_schema.schema")
    elif isinstance(wanted, shapes.JsonFormat) and wanted.schema is not None:
        check_schema(wanted.schema, "response_format.schema")


def _check_tools(tools: list[shapes.Tool] | None) -> None:
    for number, tool in enumerate(tools or ()):
        if tool.function.parameters is not None:
            check_schema(tool.function.parameters, f"tools[{number}].function.parameters")


def _check_messages(messages: list[shapes.Message]) -> tuple[bool, bool]:
    images = audio = False
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if message.role == "developer":
            message.role = "system"  # the same thing by its newer name, which few templates know
        _write_refusals(message)
        if not isinstance(message.content, str | list):
            if message.role != "assistant" or not message.tool_calls:
                refuse(f"{place}.content", "is required")
            message.content = None
        for index, call in enumerate(message.tool_calls or ()):
            check_arguments(call.function.arguments, f"{place}.tool_calls[{index}].function.arguments")
        if message.role == "tool" and not message.tool_call_id:
            refuse(f"{place}.tool_call_id", "is required in a message of the role 'tool'")
        for index, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if isinstance(part, shapes.ImagePart):
                images = True
                check_image(part.image_url.url, f"{place}.content[{index}].image_url.url")
            audio = audio or isinstance(part, shapes.AudioPart)
    return images, audio


def _write_refusals(message: shapes.Message) -> None:
    """What the model refused with is what it said: no template knows more."""
    if isinstance(message.content, list):
        message.content = [
            shapes.TextPart(part.refusal) if isinstance(part, shapes.RefusalPart) else part
            for part in message.content
        ]
    elif message.refusal and not message.content:
        message.content = message.refusal
    message.refusal = None


def _check_completion(asked: shapes.CompletionBody) -> None:
    if asked.prompt == []:
        refuse("prompt", "must not be empty")
    if prompts_of(asked) > MAX_PROMPTS:
        refuse("prompt", f"must not hold more than {MAX_PROMPTS} prompts")
    if asked.echo:
        refuse("echo", "is not supported")
    if asked.suffix:
        refuse("suffix", "is not supported: use /infill")
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        refuse("best_of", "is not supported beyond 'n'")
    if asked.stream_options is not None and not asked.stream:
        refuse("stream_options", "is for requests with 'stream': true")
    asked.best_of = asked.echo = asked.suffix = None


def _check_embedding(asked: shapes.EmbeddingBody) -> None:
    if asked.dimensions is not None:
        refuse("dimensions", "is not supported: the model's own length is given")
    if asked.input == "" or (isinstance(asked.input, list) and "" in asked.input):
        refuse("input", "must not be an empty string")


def _check_turns(asked: shapes_messages.CountBody) -> bool:
    choice = asked.tool_choice
    if (
        choice is not None
        and choice.type == "tool"
        and choice.name not in {t.name for t in asked.tools or ()}
    ):
        refuse("tool_choice.name", "names a tool that is not in 'tools'")
    for number, tool in enumerate(asked.tools or ()):
        check_schema(tool.input_schema, f"tools[{number}].input_schema")
    for number, turn in enumerate(asked.messages):
        _drop_redacted(turn, f"messages[{number}].content")
    return any(
        isinstance(block, shapes_messages.ImageBlock)
        for turn in asked.messages
        if isinstance(turn.content, list)
        for block in turn.content
    )


def _drop_redacted(turn: shapes_messages.Turn, place: str) -> None:
    """An assistant's turn may be empty, also since only its author can read what it holds."""
    if isinstance(turn.content, list):
        kept: list[shapes_messages.Block] = [
            block for block in turn.content if not isinstance(block, shapes_messages.RedactedThinkingBlock)
        ]
        if not kept and turn.role != "assistant":
            refuse(place, "must not be empty")
        turn.content = kept or ""
