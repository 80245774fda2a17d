"""From the order to the command line of a `llama-server` binary.

`LOAD_OPTIONS` has an entry for each load option, as `worker/parameters.py` has for the built-in engine; a test
compares the two. What both engines are always given is in `command_line` here and in `parameters` there.

Invariant: no option is dropped in silence. A flag that the binary does not know is left out only when the service
does not depend on it; otherwise the load fails with the name of the flag.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundrylocal.worker.parameters import (
    CACHE_RAM_MIB,
    CONTEXT_CHECKPOINTS,
    NGRAM_DRAFT_TOKENS,
    NGRAM_LOOKUP_TOKENS,
    PING_S,
    batch_tokens,
    http_threads,
)

Flags = list[str]


class UnsupportedOption(Exception):
    """The binary has no flag for what was asked."""


def _context_size(tokens: int) -> Flags:
    return ["--ctx-size", str(tokens), "--kv-unified"]


def _parallel(slots: int) -> Flags:
    return ["--parallel", str(slots), "--threads-http", str(http_threads(slots))]


def _threads(threads: int | None) -> Flags:
    return ["--threads", str(threads), "--threads-batch", str(threads)] if threads else []


def _gpu_layers(layers: int | None) -> Flags:
    return [] if layers is None else ["--gpu-layers", str(layers)]


def _kv_cache_type(name: str) -> Flags:
    return ["--cache-type-k", name, "--cache-type-v", name]


def _speculative(kind: Any) -> Flags:
    if kind == "off":
        return []
    if kind == "ngram":
        return [
            "--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", str(NGRAM_LOOKUP_TOKENS),
            "--spec-ngram-simple-size-m", str(NGRAM_DRAFT_TOKENS),
        ]  # fmt: skip
    most = ["--spec-draft-n-max", str(kind["max_tokens"])]
    if kind["draft_path"] is None:
        return ["--spec-type", "draft-mtp", *most]
    return ["--spec-type", "draft-simple", "--spec-draft-model", kind["draft_path"], *most]


def _engine(name: str | None) -> Flags:
    return []  # it chose this binary


def _batch_tokens(tokens: int | None) -> Flags:
    return ["--batch-size", str(tokens), "--ubatch-size", str(tokens)] if tokens else []


def _lora(adapters: list[dict[str, Any]]) -> Flags:
    if not adapters:
        return []
    return ["--lora-scaled", ",".join(f"{one['path']}:{one['scale']}" for one in adapters)]


LOAD_OPTIONS: dict[str, Callable[[Any], Flags]] = {
    "context_size": _context_size,
    "parallel": _parallel,
    "threads": _threads,
    "gpu_layers": _gpu_layers,
    "kv_cache_type": _kv_cache_type,
    "speculative": _speculative,
    "engine": _engine,
    "batch_tokens": _batch_tokens,
    "lora": _lora,
}
# Each with the flags that say the same in other versions; none of them is something a load depends on.
_OPTIONAL: tuple[tuple[Flags, ...], ...] = (
    (["--no-ui"], ["--no-webui"]),
    (["--sse-ping-interval", str(PING_S)],),
    (["--no-cache-idle-slots"],),
    (["--slots"],),
    (["--ctx-checkpoints", str(CONTEXT_CHECKPOINTS)], ["--swa-checkpoints", str(CONTEXT_CHECKPOINTS)]),
    (["--log-colors", "off"],),
    (["--log-prefix"],),
    (["--log-timestamps"],),
)


def command_line(order: dict[str, Any], key_file: Path | None) -> Flags:
    """The binary and its arguments for one order. Raises UnsupportedOption, and KeyError for a missing field."""
    known = frozenset(order["flags"])
    flags = ["--model", order["model_path"], "--alias", order["alias"], "--offline"]
    if order["projector_path"]:
        flags += ["--mmproj", order["projector_path"]]
    flags += _listening(order, key_file)
    flags += ["--cache-ram", str(CACHE_RAM_MIB)]
    for name, flags_for in LOAD_OPTIONS.items():
        flags += flags_for(order[name])
    flags += _batch(order)
    # Prompts that cannot be saved cost time, and no load.
    if order["slot_folder"] and "--slot-save-path" in known:
        flags += ["--slot-save-path", order["slot_folder"] + "/"]
    _require(known, flags)
    for spellings in _OPTIONAL:
        flags += next((one for one in spellings if one[0] in known), [])
    return [order["binary"], *flags]


def _listening(order: dict[str, Any], key_file: Path | None) -> Flags:
    if key_file is None:
        return ["--host", order["socket"]]
    return ["--host", order["host"], "--port", str(order["port"]), "--api-key-file", str(key_file)]


def _batch(order: dict[str, Any]) -> Flags:
    if order["is_embedding"] or order["is_reranking"]:
        # An embedding is computed in one batch: it must hold the longest input.
        tokens = order["context_size"]
        kind = "--reranking" if order["is_reranking"] else "--embedding"
        return ["--batch-size", str(tokens), "--ubatch-size", str(tokens), kind]
    if order["batch_tokens"]:
        return []
    if order["has_gpu"] and order["gpu_layers"] != 0:
        return []  # a GPU reads whole prompts at once
    threads = order["threads"] or os.cpu_count() or 1
    tokens = batch_tokens(Path(order["model_path"]).stat().st_size, threads)
    return ["--batch-size", str(tokens), "--ubatch-size", str(tokens)]


def _require(known: frozenset[str], flags: Flags) -> None:
    unknown = [flag for flag in flags if flag.startswith("--") and flag not in known]
    if unknown:
        raise UnsupportedOption(
            f"This llama-server has no {', '.join(unknown)}. Install a newer one, or use another engine."
        )
