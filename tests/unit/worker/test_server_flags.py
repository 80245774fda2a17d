"""The command line of a llama-server binary, and that what it cannot do is not left out in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.engine.llama_server.answers import REQUIRED_FLAGS
from foundrylocal.worker.server_flags import UnsupportedOption, command_line

ALL_FLAGS = REQUIRED_FLAGS | {
    "--batch-size", "--lora-scaled", "--spec-type", "--spec-draft-model", "--spec-draft-n-max", "--no-ui",
    "--sse-ping-interval", "--no-cache-idle-slots", "--slots", "--log-colors", "--log-prefix", "--log-timestamps",
    "--spec-ngram-simple-size-n", "--spec-ngram-simple-size-m", "--slot-save-path",
}  # fmt: skip


def order(folder: Path, **changes: Any) -> dict[str, Any]:
    model = folder / "model.gguf"
    model.write_bytes(bytes(1000))
    fields = {
        "socket": "/run/1.sock",
        "host": "127.0.0.1",
        "port": 0,
        "model_path": str(model),
        "projector_path": None,
        "alias": "org/model",
        "is_embedding": False,
        "is_reranking": False,
        "context_size": 4096,
        "parallel": 2,
        "threads": None,
        "gpu_layers": None,
        "kv_cache_type": "f16",
        "speculative": "off",
        "engine": "cuda",
        "batch_tokens": None,
        "lora": [],
        "slot_folder": None,
        "binary": "/opt/llama-server",
        "flags": sorted(ALL_FLAGS),
        "has_gpu": False,
    }
    return fields | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "--ctx-size 4096 --kv-unified"),
        ({}, "--parallel 2 --threads-http 34"),
        ({}, "--batch-size 512 --ubatch-size 512"),
        ({}, "--host /run/1.sock --cache-ram 256"),
        ({"threads": 3}, "--threads 3 --threads-batch 3"),
        ({"gpu_layers": 0}, "--gpu-layers 0"),
        ({"kv_cache_type": "q8_0"}, "--cache-type-k q8_0 --cache-type-v q8_0"),
        ({"speculative": "ngram"}, "--spec-type ngram-simple"),
        (
            {"speculative": {"draft_path": "/d.gguf", "max_tokens": 8}},
            "--spec-type draft-simple --spec-draft-model /d.gguf --spec-draft-n-max 8",
        ),
        (
            {"speculative": {"draft_path": None, "max_tokens": 4}},
            "--spec-type draft-mtp --spec-draft-n-max 4",
        ),
        (
            {"lora": [{"path": "/a.gguf", "scale": 0.5}, {"path": "/b.gguf", "scale": 1.0}]},
            "--lora-scaled /a.gguf:0.5,/b.gguf:1.0",
        ),
        (
            {"slot_folder": "/run/slots", "flags": sorted(ALL_FLAGS | {"--slot-save-path"})},
            "--slot-save-path /run/slots/",
        ),
        ({"projector_path": "/p.gguf"}, "--mmproj /p.gguf"),
        ({"is_embedding": True}, "--batch-size 4096 --ubatch-size 4096 --embedding"),
        ({"is_reranking": True}, "--batch-size 4096 --ubatch-size 4096 --reranking"),
    ],
)
def test_each_option_becomes_its_flags(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    line = " ".join(command_line(order(tmp_path, **changes), None))
    assert line.startswith("/opt/llama-server --model ")
    assert f" {expected} " in f"{line} "


def test_a_gpu_reads_whole_prompts_at_once(tmp_path: Path) -> None:
    assert "--ubatch-size" not in command_line(order(tmp_path, has_gpu=True), None)
    assert "--ubatch-size" in command_line(order(tmp_path, has_gpu=True, gpu_layers=0), None)


def test_a_key_is_never_on_the_command_line(tmp_path: Path) -> None:
    line = command_line(order(tmp_path, socket=None, port=5000, api_key="secret"), Path("/run/key"))
    assert "secret" not in " ".join(line)
    assert line[line.index("--port") + 1] == "5000"
    assert line[line.index("--api-key-file") + 1] == "/run/key"


def test_what_a_binary_does_not_know_is_left_out_only_where_nothing_depends_on_it(tmp_path: Path) -> None:
    few = sorted(REQUIRED_FLAGS | {"--batch-size", "--no-webui"})
    line = command_line(order(tmp_path, flags=few), None)
    assert "--no-webui" in line
    assert not {"--no-ui", "--sse-ping-interval", "--log-prefix"} & set(line)
    with pytest.raises(UnsupportedOption, match="has no --spec-type"):
        command_line(order(tmp_path, flags=few, speculative="ngram"), None)
    with pytest.raises(UnsupportedOption, match="--lora-scaled"):
        command_line(order(tmp_path, flags=few, lora=[{"path": "/a.gguf", "scale": 1}]), None)


def test_whatever_is_always_given_is_required_of_a_binary(tmp_path: Path) -> None:
    """So that a binary which is called ready can load a plain model."""
    for changes in ({}, {"is_embedding": True}, {"is_reranking": True}, {"gpu_layers": 3, "threads": 2}):
        given = {flag for flag in command_line(order(tmp_path, **changes), None) if flag.startswith("--")}
        optional = {"--no-ui", "--sse-ping-interval", "--no-cache-idle-slots", "--slots", "--log-colors",
                    "--log-prefix", "--log-timestamps"}  # fmt: skip
        assert given - optional <= REQUIRED_FLAGS
