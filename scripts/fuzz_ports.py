"""Send damaged and hostile requests to both ports for a bounded time, with values at and past every bound.

Run it as `python -m scripts.fuzz_ports` in the repository. It fails on a 5xx that is not in the contract, on an
unexpected fault in the log, and when `/health` of either port takes longer than 500 ms.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from typing import Any

import httpx
from scripts.fuzz_api import faults, offline_service, read_arguments

from tests.hostile import BODIES, mutated
from tests.running import CHAT_MODEL, Service

HEALTH_LIMIT_S = 0.5
_TOOL: dict[str, Any] = {
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
_TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": _TOOL}],
    },
    {"role": "tool", "tool_call_id": "1", "content": "x"},
]
_SAMPLING: dict[str, Any] = {"temperature": 1, "top_p": 1, "seed": 1, "stop": ["x"], "logit_bias": {"1": 1}}
_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}},
}
GATEWAY: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": CHAT_MODEL,
        "messages": _TURNS,
        "max_tokens": 2,
        "n": 1,
        "stream": False,
        "tools": [{"type": "function", "function": _TOOL}],
        "tool_choice": "auto",
        "response_format": _SCHEMA,
        "logprobs": True,
        "top_logprobs": 1,
    }
    | _SAMPLING,
    "/v1/completions": {"prompt": ["Hi"], "max_tokens": 2, "echo": False, "grammar": 'root ::= "a"'}
    | _SAMPLING,
    "/v1/responses": {
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "max_output_tokens": 2,
        "tools": [{"type": "function"} | _TOOL],
    },
    "/v1/messages": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "max_tokens": 2,
        "system": "x",
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    },
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/embeddings": {"input": ["Hi"], "encoding_format": "float"},
    "/v1/rerank": {"query": "x", "documents": ["y", {"text": "z"}], "top_n": 1},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 2},
    "/tokenize": {"content": "Hi", "add_special": True, "with_pieces": True},
    "/detokenize": {"tokens": [1, 2]},
    "/apply-template": {"messages": [{"role": "user", "content": "Hi"}]},
}
MANAGEMENT: dict[str, dict[str, Any]] = {
    "/config": {
        "port": 0,
        "aliases": {"a": CHAT_MODEL},
        "allowed_origins": ["app://x"],
        "gateway_host": "localhost",
    },
    "/models/search": {"query": "x", "limit": 1},
    "/models/import": {"path": "/nothing.gguf", "mode": "copy"},
    f"/models/{CHAT_MODEL}/verify": {"repair": False},
    "/switch-model": {
        "model_name": CHAT_MODEL,
        "port": 0,
        "options": {"timeout_seconds": 5, "context_size": 512},
    },
}


class Probe(threading.Thread):
    """Asks both ports for their health all the time and keeps the longest wait."""

    def __init__(self, service: Service, gateway: str) -> None:
        super().__init__(daemon=True)
        self._addresses = (f"{service.base}/health", f"{gateway}/health")
        self._is_over = threading.Event()
        self.worst_s = 0.0

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._is_over.wait(0.05):
                for address in self._addresses:
                    began = time.monotonic()
                    try:
                        client.get(address)
                    except httpx.HTTPError:
                        continue  # the gateway's port moves with a switch
                    self.worst_s = max(self.worst_s, time.monotonic() - began)

    def end(self) -> None:
        self._is_over.set()
        self.join(60)


def fuzz(service: Service, seconds: float, chance: random.Random) -> tuple[Counter[int], list[str]]:
    """Send until the time is up; the statuses, and what should not have happened."""
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    ends_at = time.monotonic() + seconds
    client, is_over = service.gateway(), False
    while time.monotonic() < ends_at and not is_over:
        is_gateway = chance.random() < 0.7
        path, seed = chance.choice(list((GATEWAY if is_gateway else MANAGEMENT).items()))
        data = chance.choice(BODIES).encode() if chance.random() < 0.05 else mutated(seed, chance)
        sender = client if is_gateway else service.http
        try:
            answer = sender.post(path, content=data, timeout=60)
        except httpx.TransportError as error:
            wrong.append(f"{path}: {error!r} {data[:300]!r}")
            is_over = service.process.poll() is not None
            continue
        statuses[answer.status_code] += 1
        if answer.status_code >= 500 and "error" not in answer.text:
            wrong.append(f"{path}: {answer.status_code} {answer.text[:200]} {data[:300]!r}")
        elif answer.status_code == 500 and "internal_error" in answer.text:
            wrong.append(f"{path}: {answer.text[:200]} {data[:300]!r}")
        if not is_gateway and service.status()["status"] != "running":
            service.post("/config", {"defaults": True})
            service.start()
        if not is_gateway:
            client.close()
            client = service.gateway()
    client.close()
    return statuses, wrong


def main() -> int:
    given = read_arguments(__doc__)
    with offline_service() as service:
        started = service.start()
        probe = Probe(service, started["endpoint"].removesuffix("/v1"))
        probe.start()
        statuses, wrong = fuzz(service, given.seconds, random.Random(given.seed))  # noqa: S311 - variety
        probe.end()
        wrong += faults(service)
    for line in wrong[:50]:
        print(line)
    print(
        f"{sum(statuses.values())} requests: {dict(sorted(statuses.items()))}; worst /health {probe.worst_s:.3f} s"
    )
    return int(bool(wrong) or probe.worst_s > HEALTH_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
