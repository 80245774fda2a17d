"""One chat at a peer: streamed, timed, and whole or not."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Chat:
    """What came of a request; `is_whole` is whether its stream ended as it should."""

    status: int
    is_whole: bool
    text: str
    chunks: int
    first_token_s: float
    total_s: float
    problem: str = ""


def ask(
    port: int,
    key: str | None,
    model: str | None,
    text: str | list[dict[str, str]],
    max_tokens: int,
    limit_s: float = TIMEOUT_S,
    **options: Any,
) -> Chat:
    """Ask once; an answer that fails, breaks or is left after `limit_s` is not whole."""
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    body = {"messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True, **options}
    if model is not None:
        body["model"] = model
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            problem = answer.read(500).decode("utf-8", "replace")
            return Chat(answer.status, False, "", 0, 0.0, time.perf_counter() - began, problem)
        return _read(answer, began, limit_s)
    except (OSError, http.client.HTTPException) as error:
        return Chat(0, False, "", 0, 0.0, time.perf_counter() - began, repr(error))
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, began: float, limit_s: float) -> Chat:
    parts: list[str] = []
    chunks, first_s = 0, 0.0
    for line in iter(answer.readline, b""):
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        took_s = time.perf_counter() - began
        if data == b"[DONE]":
            return Chat(200, True, "".join(parts), chunks, first_s, took_s)
        event = json.loads(data)
        if "error" in event:
            return Chat(200, False, "".join(parts), chunks, first_s, took_s, str(event["error"]))
        content = ((event.get("choices") or [{}])[0].get("delta") or {}).get("content")
        chunks += 1
        if content:
            parts.append(content)
            first_s = first_s or took_s
        if took_s > limit_s:
            break
    return Chat(200, False, "".join(parts), chunks, first_s, time.perf_counter() - began, "no [DONE]")
