"""Ollama's requests in the engine's form: chats, prompts with a template, raw prompts, and code to be filled in."""

from __future__ import annotations

from typing import Any

import msgspec

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json, engine_fields, engine_seed
from foundrylocal.gateway.dialects.by_chat import chat_request
from foundrylocal.gateway.dialects.chat_content import Parts, content_of
from foundrylocal.gateway.dialects.constrained.text import text_request
from foundrylocal.gateway.dialects.ollama.conversation import messages_of
from foundrylocal.gateway.dialects.ollama.images import image_part
from foundrylocal.gateway.dialects.ollama.shapes import ChatBody, GenerateBody, GenerationBody, Options
from foundrylocal.gateway.dialects.openai_chat import shapes as chat_shapes
from foundrylocal.gateway.dialects.openai_chat.engine import Places
from foundrylocal.gateway.dialects.openai_chat.shapes import TextPart
from foundrylocal.gateway.dialects.plain.shapes import InfillBody
from foundrylocal.gateway.dialects.refusals import refuse

TEXT_PATH, INFILL_PATH = "/completion", "/infill"
_ANY_OBJECT: Json = {"type": "object"}
_PLACES = Places("format", "format")
# The names are the engine's too.
_SAME = (
    *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty"),
    *("frequency_penalty", "mirostat", "mirostat_tau", "mirostat_eta"),
)


def chat_to_engine(body: ChatBody) -> EngineRequest:
    """A chat. Raises InvalidRequest that names the field."""
    chat = chat_shapes.ChatBody(messages=messages_of(body.messages or []))
    if body.tools:
        chat.tools = [
            chat_shapes.Tool(
                "function",
                chat_shapes.Function(tool.function.name, tool.function.description, tool.function.parameters),
            )
            for tool in body.tools
        ]
        chat.parallel_tool_calls = True
    return _by_chat(body, chat)


def prompt_to_engine(body: GenerateBody) -> EngineRequest:
    """A prompt: with the model's template by way of a chat, raw or with a suffix as text. Raises InvalidRequest."""
    if body.template:
        refuse("template", "is not supported: use the model's own template, or 'raw' with a complete prompt")
    if body.context:
        refuse("context", "is not supported: send the conversation as messages to /api/chat")
    if body.is_plain_text:
        return _text_request(body)
    parts: Parts = [TextPart(body.prompt)] if body.prompt else []
    parts += [image_part(data, f"images[{number}]") for number, data in enumerate(body.images or ())]
    messages = [chat_shapes.Message("system", body.system)] if body.system else []
    messages.append(chat_shapes.Message("user", content_of(parts)))
    return _by_chat(body, chat_shapes.ChatBody(messages=messages))


def _by_chat(body: GenerationBody, chat: chat_shapes.ChatBody) -> EngineRequest:
    chat.stream = body.is_stream
    chat.max_tokens = body.wanted_tokens
    chat.logprobs = body.logprobs or None
    chat.top_logprobs = body.top_logprobs if body.logprobs else None
    for name, value in sampling_of(body.choices).items():
        setattr(chat, name, value)
    schema = _schema_of(body)
    if schema is not None:
        chat.response_format = chat_shapes.SchemaFormat(chat_shapes.NamedSchema(schema, "answer"))
    _set_thinking(chat, body)
    return chat_request(chat, _PLACES)


def _set_thinking(chat: chat_shapes.ChatBody, body: GenerationBody) -> None:
    """Levels are those of templates that have any; the others think or do not."""
    if body.think in (None, ""):
        return
    chat.chat_template_kwargs = {"enable_thinking": body.think is not False}
    if isinstance(body.think, str):
        chat.chat_template_kwargs["reasoning_effort"] = body.think


def sampling_of(options: Options) -> dict[str, Any]:
    """The options as the engine's sampling fields, without those that leave the choice to the engine."""
    found = {name: value for name in _SAME if (value := getattr(options, name)) is not None}
    if options.top_k is not None:
        found["top_k"] = max(0, options.top_k)
    if options.repeat_last_n is not None and options.repeat_last_n >= 0:
        found["repeat_last_n"] = options.repeat_last_n
    if options.seed is not None and options.seed >= 0:
        found["seed"] = engine_seed(options.seed)
    stop = [options.stop] if isinstance(options.stop, str) else options.stop
    if stop := [text for text in stop or () if text]:
        found["stop"] = stop
    return found


def _schema_of(body: GenerationBody) -> Json | None:
    """The schema that the answer must follow. Raises InvalidRequest."""
    if body.format is None or body.format == "":
        return None
    if isinstance(body.format, str):
        if body.format != "json":
            refuse("format", "must be 'json' or a JSON schema")
        return _ANY_OBJECT
    return body.format


def _text_request(body: GenerateBody) -> EngineRequest:
    """A prompt that no template touches. With a suffix the model fills in the text between the two."""
    if body.images:
        refuse("images", f"cannot be combined with '{'suffix' if body.suffix else 'raw'}'")
    if body.logprobs:
        refuse("logprobs", f"cannot be combined with '{'suffix' if body.suffix else 'raw'}'")
    prompt = body.prompt or ""
    text = InfillBody(input_prefix=prompt, input_suffix=body.suffix or "", stream=body.is_stream)
    for name, value in sampling_of(body.choices).items():
        setattr(text, name, value)
    text.n_predict = body.wanted_tokens
    text.json_schema = _schema_of(body)
    fields = engine_fields(text)
    if body.suffix:
        return text_request(text, fields, INFILL_PATH, must_end=not text.stop)
    for name in ("input_prefix", "input_suffix"):
        fields.pop(name)
    return text_request(text, {**fields, "prompt": prompt}, TEXT_PATH, must_end=not text.stop)


def embedding_request(path: str, texts: list[str]) -> EngineRequest:
    """Texts to embed."""
    return EngineRequest(path, msgspec.json.encode({"input": texts, "encoding_format": "float"}))
