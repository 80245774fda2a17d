"""From the order to the engine's parameters.

`LOAD_OPTIONS` has an entry for each load option that `wire/load_options.py` declares; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# How long a batch at the start of a prompt may take; one late in a long prompt takes several times as long, and all
# streams of the model wait for it. Measured: a core reads about 20 GB of weights, counted for each token, a second
# (docs/decisions/0023).
BATCH_S = 1 / 3
BYTES_PER_CORE_S = 20e9
MIN_BATCH_TOKENS, MAX_BATCH_TOKENS = 32, 512
PING_S = 15  # the contract's, for all event streams
# Of the last so many tokens an earlier occurrence is looked for; what followed it there is proposed.
NGRAM_LOOKUP_TOKENS, NGRAM_DRAFT_TOKENS = 12, 24
# Models with a sliding window or a recurrent state can only go back to such a point; each slot keeps that many. One
# takes 15 MB with a model of 270 million parameters and hundreds with large ones, in memory and in a saved prompt.
CONTEXT_CHECKPOINTS = 8
CACHE_RAM_MIB = 256  # the engine's own cache of prompts, which grows with use


def http_threads(slots: int) -> int:
    """Threads that answer HTTP: one for each request, and some for health checks and what waits."""
    return slots + 32


def _set_context_size(params: Any, tokens: int) -> None:
    params.n_ctx = tokens
    # One pool of context for all slots: a single long chat may use all of it.
    params.kv_unified = True


def _set_parallel(params: Any, slots: int) -> None:
    params.n_parallel = slots
    params.n_threads_http = http_threads(slots)


def _set_threads(params: Any, threads: int | None) -> None:
    if threads:
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads


def _set_gpu_layers(params: Any, layers: int | None) -> None:
    if layers is not None:
        params.n_gpu_layers = layers


def _set_kv_cache_type(params: Any, name: str) -> None:
    """Flash attention, which quantized values need, is left to the engine: a model without it fails to load."""
    import xllamacpp

    kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{name.upper()}")
    params.cache_type_k = params.cache_type_v = kind


def _set_speculative(params: Any, kind: Any) -> None:
    """`kind` is "off", "ngram", or a draft: its `draft_path` is None for the model's own MTP heads."""
    if kind == "off":
        return
    import xllamacpp

    types = xllamacpp.common_speculative_type
    speculative = params.speculative
    if kind == "ngram":
        speculative.types = [types.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        speculative.ngram_simple.size_n = NGRAM_LOOKUP_TOKENS
        speculative.ngram_simple.size_m = NGRAM_DRAFT_TOKENS
        return
    speculative.draft.n_max = kind["max_tokens"]
    if kind["draft_path"] is None:
        speculative.types = [types.COMMON_SPECULATIVE_TYPE_DRAFT_MTP]
    else:
        speculative.types = [types.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        speculative.draft.mparams.path = kind["draft_path"]


def _set_engine(params: Any, name: str | None) -> None:
    """Nothing to set: it chose this worker."""


def _set_batch_tokens(params: Any, tokens: int | None) -> None:
    if tokens:
        params.n_batch = params.n_ubatch = tokens


def _set_lora(params: Any, adapters: list[dict[str, Any]]) -> None:
    import xllamacpp

    if adapters:
        params.lora_adapters = [
            xllamacpp.CommonAdapterLoraInfo(one["path"], float(one["scale"])) for one in adapters
        ]


LOAD_OPTIONS: dict[str, Callable[[Any, Any], None]] = {
    "context_size": _set_context_size,
    "parallel": _set_parallel,
    "threads": _set_threads,
    "gpu_layers": _set_gpu_layers,
    "kv_cache_type": _set_kv_cache_type,
    "speculative": _set_speculative,
    "engine": _set_engine,
    "batch_tokens": _set_batch_tokens,
    "lora": _set_lora,
}


def batch_tokens(model_bytes: int, threads: int) -> int:
    """Tokens of prompt that are computed at once: about BATCH_S of work, since all other streams wait meanwhile."""
    fit = int(BATCH_S * threads * BYTES_PER_CORE_S / max(1, model_bytes))
    return min(MAX_BATCH_TOKENS, max(MIN_BATCH_TOKENS, fit // MIN_BATCH_TOKENS * MIN_BATCH_TOKENS))


def _has_gpu() -> bool:
    """Whether the engine finds a GPU, which it then uses on its own, and which reads whole prompts at once."""
    import xllamacpp

    return any("GPU" in device["type"].name for device in xllamacpp.get_device_info())


def _set_batch(params: Any, order: dict[str, Any], *, has_gpu: bool) -> None:
    if order["is_embedding"] or order["is_reranking"]:
        # An embedding is computed in one batch: it must hold the longest input.
        params.embedding = True
        params.n_batch = params.n_ubatch = params.n_ctx
    elif not order["batch_tokens"] and not order["gpu_layers"] and not has_gpu:
        threads = order["threads"] or os.cpu_count() or 1
        params.n_batch = params.n_ubatch = batch_tokens(Path(order["model_path"]).stat().st_size, threads)


def parameters(order: dict[str, Any]) -> Any:
    """The engine's parameters for one order; raises KeyError when the order lacks a field."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model_path"]
    if order["projector_path"]:
        params.mmproj.path = order["projector_path"]
    params.model_alias = {order["alias"]}
    if order["socket"]:
        params.hostnames = [order["socket"]]
    else:
        params.hostnames = [order["host"]]
        params.port = order["port"]
        params.api_keys = [order["api_key"]]
    params.ui = False
    params.cache_ram_mib = CACHE_RAM_MIB
    params.n_ctx_checkpoints = CONTEXT_CHECKPOINTS
    params.sse_ping_interval = PING_S
    # Parallel chats keep their prompts in the pool; the engine clears idle ones itself when it needs the room.
    params.cache_idle_slots = False
    if folder := order.get("slot_folder"):
        params.slot_save_path = folder + "/"
    for name, apply in LOAD_OPTIONS.items():
        apply(params, order[name])
    has_gpu = _has_gpu()
    _set_batch(params, order, has_gpu=has_gpu)
    if not has_gpu:
        # It loads the model without its tensors first, to find out how many layers fit on a GPU: a third of the
        # time that a small model takes to load.
        params.fit_params = False
    if order["is_reranking"]:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    return params
