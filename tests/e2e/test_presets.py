"""A preset with the real engine: its prompt, its sampling, its cache and its adapters are in force."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gguf_corpus import F32, Typed, gguf
from tests.running import CHAT_MODEL, Service

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]
PRESET = f"/models/{CHAT_MODEL}/preset"
QUESTION = {"messages": [{"role": "user", "content": "Tell me about the sea."}], "max_tokens": 24}
WIDTH, RANK = 576, 4  # of the starter model, and of the adapter


def answer(service: Service, path: str = "/v1/chat/completions", **fields: Any) -> dict[str, Any]:
    with service.gateway() as gateway:
        got = gateway.post(path, json=QUESTION | fields, timeout=300)
    assert got.status_code == 200, got.text
    return dict(got.json())


def said(service: Service, **fields: Any) -> str:
    return str(answer(service, **fields)["choices"][0]["message"]["content"])


def prompt_of(service: Service, **fields: Any) -> str:
    with service.gateway() as gateway:
        return str(
            gateway.post("/apply-template", json={"messages": QUESTION["messages"]} | fields).json()["prompt"]
        )


def test_a_preset_is_in_force_in_every_dialect(real_service: Service) -> None:
    real_service.start(options={"context_size": 2048})
    one = [said(real_service, temperature=1.5, seed=11) for _ in range(2)]
    assert one[0] == one[1] != said(real_service, temperature=1.5, seed=12)
    real_service.post(PRESET, {"temperature": 1.5, "seed": 11})
    assert said(real_service) == one[0]
    assert said(real_service, seed=12) == said(real_service, temperature=1.5, seed=12)
    text = answer(real_service, "/v1/responses", input="Tell me about the sea.", max_output_tokens=24)
    assert text["temperature"] == 1.5

    real_service.post(PRESET, {"system_prompt": "You are a pirate named Anne.", "max_tokens": 5})
    assert "You are a pirate named Anne." in prompt_of(real_service)
    own = [{"role": "system", "content": "Be brief."}, *QUESTION["messages"]]
    assert "pirate" not in prompt_of(real_service, messages=own)
    with real_service.gateway() as gateway:
        whole = gateway.post(
            "/v1/chat/completions", json={"messages": QUESTION["messages"]}, timeout=300
        ).json()
        counted = gateway.post("/v1/messages/count_tokens", json={"messages": QUESTION["messages"]}).json()
    assert whole["usage"]["completion_tokens"] == 5
    assert whole["usage"]["prompt_tokens"] == counted["input_tokens"]
    real_service.http.delete(PRESET)
    assert "pirate" not in prompt_of(real_service)


def test_a_quantized_cache_loads_and_answers(real_service: Service) -> None:
    sizes = {}
    for kind in ("f16", "q8_0", "q4_0"):
        real_service.post(PRESET, {"kv_cache_type": kind})
        real_service.post("/stop")
        real_service.start(options={"context_size": 8192})
        assert said(real_service, temperature=0)
        status = real_service.status()["options"]
        assert (status["effective"]["kv_cache_type"], status["sources"]["kv_cache_type"]) == (kind, "preset")
        details = real_service.get(f"/models/{CHAT_MODEL}").json()
        sizes[kind] = details["memory"]["kv_cache_bytes"]
    assert sizes["q8_0"] == sizes["f16"] * 34 // 64
    assert sizes["q4_0"] == sizes["f16"] * 18 // 64


def write_adapter(path: Path) -> Path:
    """An adapter that changes a few layers of the starter model by chance."""
    tensors = {}
    for layer in range(0, 30, 3):
        tensors[f"blk.{layer}.attn_q.weight.lora_a"] = ((WIDTH, RANK), 0)
        tensors[f"blk.{layer}.attn_q.weight.lora_b"] = ((RANK, WIDTH), 0)
    keys = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": Typed(F32, 8.0),
    }
    empty = gguf(keys, tensors)
    count = len(tensors) * WIDTH * RANK
    numbers = random.Random(7)
    data = struct.pack(f"<{count}f", *(numbers.gauss(0, 0.2) for _ in range(count)))
    path.write_bytes(empty[: -len(data)] + data)
    return path


def test_an_adapter_changes_what_the_model_says_by_its_scale(real_service: Service, tmp_path: Path) -> None:
    file = write_adapter(tmp_path / "tone.gguf")
    imported = real_service.post("/models/import", {"path": str(file), "name": "tone"})
    assert imported.status_code == 200, imported.text
    answers = {}
    for scale in (None, 1.0, 0.0):
        lora = [] if scale is None else [{"model": "tone", "scale": scale}]
        real_service.start(options={"context_size": 1024, "lora": lora})
        answers[scale] = said(real_service, temperature=0)
        real_service.post("/stop")
    assert answers[1.0] != answers[None]
    assert answers[0.0] == answers[None]
