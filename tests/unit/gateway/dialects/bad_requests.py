"""A corpus of bad requests: the path, the body and the field that the refusal must name."""

from __future__ import annotations

from typing import Any

CHAT, TEXT, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/messages"
RESPONSES, EMBED, RERANK = "/v1/responses", "/v1/embeddings", "/v1/rerank"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
PROMPT: dict[str, Any] = {"prompt": "Hi"}
TURN: dict[str, Any] = HELLO | {"max_tokens": 8}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def _chat(**fields: object) -> tuple[str, object]:
    return CHAT, HELLO | fields


def _tool(**fields: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def _offer(**fields: object) -> dict[str, Any]:
    return {"type": "function", "name": "f", **fields}


def _called(arguments: str) -> dict[str, Any]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "tool_calls": [call]}


def _item(item: object) -> tuple[str, object]:
    return RESPONSES, {"input": [item]}


def _message(message: object) -> tuple[str, object]:
    return CHAT, {"messages": [message]}


def _image(url: object) -> tuple[str, object]:
    return _message({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


def _schema(schema: object) -> tuple[str, object]:
    return _chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


def _pattern(pattern: str) -> tuple[str, object]:
    return _schema({"properties": {"a": {"type": "string", "pattern": pattern}}})


_CALL_OUTPUT = {"type": "function_call_output", "call_id": "a"}
_FILE_IMAGE = {"type": "input_image", "image_url": "file:///etc/passwd"}
_SCHEMA = "response_format.json_schema.schema"
_NOT: dict[str, Any] = {"type": "object", "not": {}}
_FORMAT: dict[str, Any] = {"type": "json_schema", "schema": _NOT}
_NAMED = {"name": "f", "input_schema": _NOT}
_URL = "messages[0].content[0].image_url.url"
BAD_FIELDS: list[tuple[str, object, str]] = [
    # what is missing, empty, or of another type
    (CHAT, {}, "messages"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": None}, "messages"),
    (CHAT, {"messages": "Hi"}, "messages"),
    (CHAT, {"messages": {"role": "user"}}, "messages"),
    (*_message("Hi"), "messages[0]"),
    (*_message(None), "messages[0]"),
    (*_message({}), "messages[0].role"),
    (*_message({"content": "Hi"}), "messages[0].role"),
    (*_message({"role": "alien", "content": "Hi"}), "messages[0].role"),
    (*_message({"role": "User", "content": "Hi"}), "messages[0].role"),
    (*_message({"role": 1, "content": "Hi"}), "messages[0].role"),
    (*_message({"role": "user"}), "messages[0].content"),
    (*_message({"role": "user", "content": None}), "messages[0].content"),
    (*_message({"role": "user", "content": 7}), "messages[0].content"),
    (*_message({"role": "user", "content": {"text": "Hi"}}), "messages[0].content"),
    (*_message({"role": "tool", "content": "5"}), "messages[0].tool_call_id"),
    (*_message({"role": "user", "content": ["Hi"]}), "messages[0].content[0]"),
    (*_message({"role": "user", "content": [{"text": "Hi"}]}), "messages[0].content[0].type"),
    (*_message({"role": "user", "content": [{"type": "video"}]}), "messages[0].content[0].type"),
    (*_message({"role": "user", "content": [{"type": "file", "file": {}}]}), "messages[0].content[0].type"),
    (*_message({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text"),
    (*_message({"role": "assistant", "tool_calls": [{}]}), "messages[0].tool_calls[0].function"),
    (*_message({"role": "assistant", "tool_calls": "f"}), "messages[0].tool_calls"),
    (*_chat(model=5), "model"),
    (*_chat(model=["a"]), "model"),
    (*_chat(stream="yes"), "stream"),
    (*_chat(stream=1), "stream"),
    (*_chat(temperature="hot"), "temperature"),
    (*_chat(max_tokens="8"), "max_tokens"),
    (*_chat(max_tokens=1.5), "max_tokens"),
    (*_chat(seed="x"), "seed"),
    (*_chat(seed=1.5), "seed"),
    (*_chat(seed=2**64 + 1), "seed"),
    (*_chat(seed=-(2**63) - 1), "seed"),
    (RESPONSES, {"input": "a", "seed": 10**30}, "seed"),
    (*_chat(stop=5), "stop"),
    (*_chat(stop=[1]), "stop[0]"),
    (*_chat(logprobs=3), "logprobs"),
    (*_chat(tools={}), "tools"),
    (*_chat(tools=[{"type": "function"}]), "tools[0].function"),
    (*_chat(tools=[{"type": "browser"}]), "tools[0].type"),
    (*_chat(tools=[{"type": "function", "function": {"name": ""}}]), "tools[0].function.name"),
    (*_chat(tools=[_tool(parameters=1)]), "tools[0].function.parameters"),
    (*_chat(response_format="json"), "response_format"),
    (*_chat(response_format={"type": "xml"}), "response_format.type"),
    (*_chat(response_format={"type": "json_schema"}), "response_format.json_schema"),
    (*_chat(response_format={"type": "json_schema", "json_schema": {}}), "response_format.json_schema.schema"),
    (*_chat(logit_bias=[1]), "logit_bias"),
    (*_chat(logit_bias={"Hi": 1}), "logit_bias"),
    (*_chat(logit_bias={"5": "x"}), "logit_bias"),
    (*_chat(logit_bias={"9" * 5000: 1}), "logit_bias"),
    (*_chat(stream=True, stream_options=True), "stream_options"),
    (*_chat(reasoning_format="loud"), "reasoning_format"),
    # out of range
    (*_chat(temperature=-0.1), "temperature"),
    (*_chat(temperature=2.1), "temperature"),
    (*_chat(top_p=1.1), "top_p"),
    (*_chat(top_p=-1), "top_p"),
    (*_chat(min_p=2), "min_p"),
    (*_chat(top_k=-1), "top_k"),
    (*_chat(n=0), "n"),
    (*_chat(n=129), "n"),
    (*_chat(max_tokens=0), "max_tokens"),
    (*_chat(max_tokens=-1), "max_tokens"),
    (*_chat(max_tokens=2**31), "max_tokens"),
    (*_chat(max_completion_tokens=0), "max_completion_tokens"),
    (*_chat(presence_penalty=3), "presence_penalty"),
    (*_chat(frequency_penalty=-3), "frequency_penalty"),
    (*_chat(logprobs=True, top_logprobs=21), "top_logprobs"),
    (*_chat(stop=["x"] * 17), "stop"),
    (*_chat(stop=""), "stop"),
    (*_chat(logit_bias={"5": 101}), "logit_bias"),
    (*_chat(tools=[TOOL] * 129), "tools"),
    (*_chat(mirostat=3), "mirostat"),
    (*_chat(repeat_last_n=65537), "repeat_last_n"),
    (*_chat(repeat_last_n=2**31 - 1), "repeat_last_n"),
    (*_chat(repeat_last_n=-1), "repeat_last_n"),
    (*_chat(dry_allowed_length=2**31 - 1), "dry_allowed_length"),
    (*_chat(grammar="(" * 40), "grammar"),
    (*_chat(grammar="x" * 70000), "grammar"),
    # what cannot be kept, by the place that has it
    (*_schema({"not": {}}), _SCHEMA),
    (*_schema({"$ref": "#/$defs/none"}), _SCHEMA),
    (*_schema({"$ref": "#a"}), _SCHEMA),
    (*_schema({"$ref": 5}), _SCHEMA),
    (*_schema({"$ref": "https://example.org/x.json"}), _SCHEMA),
    (*_schema({"allOf": [{"properties": {f"p{n}": {}}} for n in range(501)]}), _SCHEMA),
    (*_schema({"properties": {f"p{n}": {} for n in range(1001)}}), f"{_SCHEMA}.properties"),
    (*_schema({"enum": ["x" * 100 + str(n) for n in range(2000)]}), _SCHEMA),
    (*_schema({"type": "string", "minLength": 5, "maxLength": 1}), _SCHEMA),
    (*_schema({"type": "string", "maxLength": -1}), _SCHEMA),
    (*_schema({"type": "string", "format": "uri"}), f"{_SCHEMA}.format"),
    (*_schema({"type": "string", "maxLength": 1.5}), _SCHEMA),
    (*_pattern("^a{5,1}$"), _SCHEMA),
    (*_pattern("(?=a)b"), _SCHEMA),
    (*_chat(json_schema=_NOT), "json_schema"),
    (*_chat(response_format={"type": "json_object", "schema": _NOT}), "response_format.schema"),
    (*_chat(tools=[TOOL, _tool(parameters=_NOT)], tool_choice="required"), "tools[1].function.parameters"),
    (RESPONSES, {"input": "a", "text": {"format": _FORMAT}}, "text.format.schema"),
    (RESPONSES, {"input": "a", "tools": [_offer(parameters=_NOT)], "tool_choice": "required"}, "tools[0].parameters"),
    (MESSAGES, TURN | {"output_config": {"format": _FORMAT}}, "output_config.format.schema"),
    (MESSAGES, TURN | {"output_format": _FORMAT}, "output_format.schema"),
    (MESSAGES, TURN | {"tools": [_NAMED], "tool_choice": {"type": "any"}}, "tools[0].input_schema"),
    (MESSAGES, TURN | {"tool_choice": {"type": "any"}}, "tool_choice"),
    (*_chat(grammar="r ::= r"), "grammar"),
    (*_chat(grammar="root ::= x"), "grammar"),
    (*_chat(grammar='root ::= "a"{5,1}'), "grammar"),
    (*_chat(grammar='root ::= "a"{1000000}'), "grammar"),
    (*_chat(grammar="root ::= " + "(" * 33 + '"a"' + ")" * 33), "grammar"),
    (*_chat(grammar="%llguidance {}\nstart: (("), "grammar"),
    (*_chat(grammar='root ::= "a'), "grammar"),
    (*_chat(grammar="root ::= )"), "grammar"),
    (*_chat(grammar="root ::= *"), "grammar"),
    (*_message(_called("[" * 100_000 + "]" * 100_000)), "messages[0].tool_calls[0].function.arguments"),
    (*_message(_called('{"a":' * 33 + "1" + "}" * 33)), "messages[0].tool_calls[0].function.arguments"),
    (*_item({"type": "function_call", "call_id": "a", "name": "f", "arguments": "[" * 33}), "input[0].arguments"),
    # what does not go together
    (*_chat(top_logprobs=2), "top_logprobs"),
    (*_chat(stream_options={"include_usage": True}), "stream_options"),
    (*_chat(tool_choice="required"), "tool_choice"),
    (*_chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}), "tool_choice"),
    (*_chat(grammar="root ::= x", json_schema={}), "json_schema"),
    # the engine's own
    (*_chat(id_slot=0), "id_slot"),
    (*_chat(lora=[{"id": 0, "scale": 1}]), "lora"),
    (*_chat(filename="/etc/passwd"), "filename"),
    (*_chat(action="save"), "action"),
    (*_chat(chat_template="{{ x }}"), "chat_template"),
    (*_chat(image_data=[]), "image_data"),
    (*_chat(**{"speculative.n_max": 5}), "speculative.n_max"),
    (TEXT, PROMPT | {"id_slot": 1}, "id_slot"),
    ("/infill", {"input_prefix": "a", "input_suffix": "b", "lora": []}, "lora"),
    # what would change the answer and is not there
    (*_chat(functions=[{"name": "f"}]), "functions"),
    (*_chat(function_call="auto"), "function_call"),
    (*_chat(modalities=["text", "audio"]), "modalities"),
    (*_chat(audio={"voice": "a", "format": "wav"}), "audio"),
    (*_chat(prediction={"type": "content", "content": "a"}), "prediction"),
    (*_chat(web_search_options={}), "web_search_options"),
    (TEXT, PROMPT | {"max_tokens": 0}, "max_tokens"),
    (RERANK, {"query": "a", "documents": [{"title": "b"}]}, "documents[0].text"),
    (MESSAGES, {"max_tokens": 8, "messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    # images from elsewhere
    (*_image("http://localhost/a.png"), _URL),
    (*_image("https://example.org/a.png"), _URL),
    (*_image("file:///etc/passwd"), _URL),
    (*_image("/etc/passwd"), _URL),
    (*_image("data:text/html;base64,AAAA"), _URL),
    (*_image(5), _URL),
    # text
    (TEXT, {}, "prompt"),
    (TEXT, {"prompt": []}, "prompt"),
    (TEXT, {"prompt": 5}, "prompt"),
    (TEXT, {"prompt": {"prompt_string": "x", "multimodal_data": []}}, "prompt"),
    (TEXT, PROMPT | {"logprobs": 21}, "logprobs"),
    (TEXT, PROMPT | {"echo": True}, "echo"),
    (TEXT, PROMPT | {"suffix": "x"}, "suffix"),
    (TEXT, PROMPT | {"best_of": 3}, "best_of"),
    (TEXT, {"prompt": ["a"] * 9, "n": 128}, "n"),
    (TEXT, {"prompt": [-1]}, "prompt[0]"),
    ("/infill", {"input_prefix": "a"}, "input_suffix"),
    ("/tokenize", {}, "content"),
    ("/tokenize", {"content": 5}, "content"),
    ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
    ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
    ("/apply-template", {}, "messages"),
    # vectors
    (EMBED, {}, "input"),
    (EMBED, {"input": ""}, "input"),
    (EMBED, {"input": []}, "input"),
    (EMBED, {"input": ["a", ""]}, "input"),
    (EMBED, {"input": "a", "encoding_format": "hex"}, "encoding_format"),
    (EMBED, {"input": "a", "dimensions": 0}, "dimensions"),
    (RERANK, {"documents": ["a"]}, "query"),
    (RERANK, {"query": "a"}, "documents"),
    (RERANK, {"query": "a", "documents": []}, "documents"),
    (RERANK, {"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
    # responses and messages
    (RESPONSES, {}, "input"),
    (RESPONSES, {"input": ""}, "input"),
    (RESPONSES, {"input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPONSES, {"input": "a", "background": True}, "background"),
    (RESPONSES, {"input": "a", "max_output_tokens": 0}, "max_output_tokens"),
    (RESPONSES, {"input": "a", "text": {"format": {"type": "xml"}}}, "text.format"),
    (RESPONSES, {"input": "a", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    (RESPONSES, {"input": "a", "tools": [_offer()], "tool_choice": _offer() | {"name": "g"}}, "tool_choice.name"),
    (RESPONSES, {"input": "a", "tool_choice": {"type": "file_search"}}, "tool_choice.type"),
    (RESPONSES, {"input": "a", "tool_choice": "required"}, "tool_choice"),
    (*_item("a"), "input[0]"),
    (*_item({}), "input[0].role"),
    (*_item({"role": "tool", "content": "a"}), "input[0].role"),
    (*_item({"role": "user"}), "input[0].content"),
    (*_item({"role": "user", "content": [{"type": "input_file", "file_id": "a"}]}), "input[0].content[0].type"),
    (*_item({"role": "user", "content": [_FILE_IMAGE]}), "input[0].content[0].image_url"),
    (*_item({"role": "assistant", "content": [_FILE_IMAGE]}), "input[0].content[0]"),
    (*_item(_CALL_OUTPUT | {"output": [_FILE_IMAGE]}), "input[0].output[0].image_url"),
    (*_item({"type": "function_call_output", "output": "a"}), "input[0].call_id"),
    (*_item({"type": "function_call", "call_id": "a"}), "input[0].name"),
    (*_item({"type": "item_reference", "id": "msg_1"}), "input[0]"),
    (*_item({"type": "computer"}), "input[0].type"),
    (*_item({"type": "computer_call"}), "input"),
    (*_item({"type": "compaction", "encrypted_content": "a"}), "input[0].encrypted_content"),
    (*_item({"type": "reasoning", "summary": []}), "input"),
    (MESSAGES, HELLO, "max_tokens"),
    (MESSAGES, {"max_tokens": 8}, "messages"),
    (MESSAGES, TURN | {"max_tokens": 0}, "max_tokens"),
    (MESSAGES, TURN | {"temperature": 1.5}, "temperature"),
    (MESSAGES, {"max_tokens": 8, "messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    (MESSAGES, TURN | {"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name"),
    (MESSAGES, TURN | {"system": 5}, "system"),
    (MESSAGES, TURN | {"thread": {"type": "create"}}, "thread"),
    (MESSAGES, TURN | {"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0].type"),
    ("/v1/messages/count_tokens", HELLO | {"thread": {}}, "thread"),
    (MESSAGES, TURN | {"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    (MESSAGES, TURN | {"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
]  # fmt: skip
BAD_BODIES: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"{",
    b"{}}",
    b"{'messages': []}",
    b'{"messages": [}',
    b'{"messages": NaN}',
    b'{"messages":[{"role":"user","content":"\xff\xfe"}]}',
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b"[" * 100_000,
    b'{"messages":[{"role":"user","content":"a"}],"temperature":1e999}',
    b'{"messages":[{"role":"user","content":"a"}],"seed":' + b"9" * 400 + b"}",
    b"\x00\x01\x02",
]
