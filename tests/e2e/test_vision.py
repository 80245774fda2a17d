"""Images through the gateway with the real engine, on every path that takes them.

No vision model is small enough to be fetched by a test, so the starter model gets a projector of the smallest
kind the engine knows, all of its weights zero: it sees nothing, and all of the way to it is real.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_conformance import CHAT, post, stream
from tests.fakes.gguf_corpus import BOOL, F32, Typed, write_gguf
from tests.real_models import store_variant
from tests.running import Service, running

pytestmark = pytest.mark.model
VISION_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
_WIDTH, _MODEL_WIDTH, _INNER, _PATCH, _SIDE = 32, 576, 64, 4, 32
TEXT = "What is on the picture?"


def write_projector(path: Path) -> None:
    """One layer of 32 values, for images of 32 by 32 points in patches of 4."""
    keys = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "clip.has_vision_encoder": Typed(BOOL, True),
        "clip.projector_type": "gemma3",
        "clip.use_gelu": Typed(BOOL, True),
        "clip.vision.image_size": _SIDE,
        "clip.vision.patch_size": _PATCH,
        "clip.vision.embedding_length": _WIDTH,
        "clip.vision.feed_forward_length": _INNER,
        "clip.vision.attention.head_count": 4,
        "clip.vision.attention.layer_norm_epsilon": Typed(F32, 1e-6),
        "clip.vision.block_count": 1,
        "clip.vision.projection_dim": _MODEL_WIDTH,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
    }
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_PATCH, _PATCH, 3, _WIDTH),
        "v.patch_embd.bias": (_WIDTH,),
        "v.position_embd.weight": (_WIDTH, (_SIDE // _PATCH) ** 2),
        "mm.input_projection.weight": (_MODEL_WIDTH, _WIDTH),
        "mm.soft_emb_norm.weight": (_WIDTH,),
    }
    for name in ("v.post_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        shapes |= {f"{name}.weight": (_WIDTH,), f"{name}.bias": (_WIDTH,)}
    sides = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (_WIDTH, _WIDTH))
    for name, (into, out) in (sides | {"ffn_up": (_WIDTH, _INNER), "ffn_down": (_INNER, _WIDTH)}).items():
        shapes |= {f"v.blk.0.{name}.weight": (into, out), f"v.blk.0.{name}.bias": (out,)}
    write_gguf(path, keys, {name: (shape, 0) for name, shape in shapes.items()})


def png() -> str:
    """A small grey picture as base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * 24) * 8)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("vision-home")
    store_variant(home, VISION_MODEL, {}, write_projector)
    with running(home) as found:
        found.start(VISION_MODEL)
        yield found


@pytest.fixture
def gateway(service: Service) -> Iterator[httpx.Client]:
    with service.gateway() as client:
        yield client


def of_chat(*images: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}} for one in images]
    content = [{"type": "text", "text": TEXT}, *parts]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 4}


def test_a_chat_takes_images(gateway: httpx.Client) -> None:
    read = [post(gateway, CHAT, of_chat(*[png()] * count))["usage"]["prompt_tokens"] for count in (0, 1, 2)]
    assert read[1] - read[0] >= 4  # four tokens of the picture, and what encloses it
    assert read[2] - read[1] == read[1] - read[0]
    assert stream(gateway, CHAT, of_chat(png()))[-1]["choices"][0]["finish_reason"] == "length"


def test_messages_take_images(gateway: httpx.Client) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png()}}
    content = [{"type": "text", "text": TEXT}, image]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4}
    assert post(gateway, "/v1/messages", body)["content"][0]["type"] == "text"


def test_responses_take_images(gateway: httpx.Client) -> None:
    image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{png()}"}
    content = [{"type": "input_text", "text": TEXT}, image]
    body = {"input": [{"role": "user", "content": content}], "max_output_tokens": 4}
    assert post(gateway, "/v1/responses", body)["output"]


def test_what_is_no_picture_is_refused_and_the_worker_lives(service: Service, gateway: httpx.Client) -> None:
    (before,) = service.workers()
    for data in ("AAAA", base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 100).decode(), png()[:40], "!!!"):
        answer = gateway.post(CHAT, json=of_chat(data))
        assert answer.status_code == 400, answer.text
    assert post(gateway, CHAT, of_chat(png()))["choices"]
    assert service.workers() == [before]
