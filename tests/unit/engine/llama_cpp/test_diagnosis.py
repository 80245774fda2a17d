"""Why a load failed: the engine's real last lines, and the error that a caller gets for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.engine.llama_cpp.diagnosis import WorkerExit, diagnose
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import (
    FoundryLocalError,
    LoadOutOfMemory,
    ModelCorrupted,
    ModelUnsupported,
    ServerStartFailed,
    SystemExhausted,
)
from foundrylocal.web.errors import status_of
from foundrylocal.wire.load_options import EffectiveOptions

MB = 1024 * 1024
SPEC = ReplicaSpec(
    "a/Tiny#1", "a/Tiny", Path("/m/t.gguf"), Path("/m/mmproj-t.gguf"), 90 * MB, 400 * MB, EffectiveOptions()
)
INIT = "Failed to init server, please check the input params."

# Lines of xllamacpp 2026.10.11549, each from a load that failed so: (lines, the error, what its details say).
CASES = {
    "architecture": (
        """\
0.00.073.027 E llama_model_load: error loading model: unknown model architecture: 'nonesuch'
0.00.074.469 E llama_model_load_from_file_impl: failed to load model
0.00.148.225 E srv    load_model: failed to load model, '/folder/w/arch.gguf'
0.00.148.965 E srv          init: exiting due to model loading error""",
        ModelUnsupported,
        ["architecture 'nonesuch'", "Upgrade the engine"],
    ),
    "pre-tokenizer": (
        """\
0.00.097.9 E llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer type: 'new'
0.00.180.015 E srv    load_model: failed to load model, '/folder/w/pre.gguf'""",
        ModelUnsupported,
        ["made for another version", "unknown pre-tokenizer type: 'new'", "/models/Tiny/verify"],
    ),
    "missing tensor": (
        """\
0.00.365.301 E llama_model_load: error loading model: check_tensor_dims: tensor 'blk.30.attn_norm.weight' not found
0.00.719.109 E srv    load_model: failed to load model, '/folder/w/blocks.gguf'""",
        ModelUnsupported,
        ["tensor 'blk.30.attn_norm.weight' not found"],
    ),
    "missing key": (
        "0.00.107.292 E llama_model_load: error loading model: error loading model hyperparameters: key not found in "
        "model: gemma3.context_length",
        ModelUnsupported,
        ["key not found in model: gemma3.context_length"],
    ),
    "a library that the system lacks": (
        "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory",
        ServerStartFailed,
        ["apt-get install libgomp1", "dnf install libgomp"],
    ),
    "cut short": (
        """\
0.00.052.747 E llama_model_load: error loading model: tensor 'blk.16.ffn_down.weight' data is not within the file \
bounds, model is corrupted or incomplete
0.00.090.921 E srv    load_model: failed to load model, '/folder/w/trunc.gguf'""",
        ModelCorrupted,
        ["blk.16.ffn_down.weight", "not within the file bounds", "Download it again"],
    ),
    "zeros": (
        """\
0.00.002.323 E gguf_init_from_reader: invalid magic characters: '????', expected 'GGUF'
0.00.002.451 E llama_model_load: error loading model: failed to load model from /folder/z.gguf""",
        ModelCorrupted,
        ["The engine says: invalid magic characters: '????', expected 'GGUF'."],
    ),
    "empty": (
        """\
0.00.002.530 E gguf_init_from_reader: failed to read magic
0.00.002.675 E llama_model_load: error loading model: failed to load model from /folder/e.gguf""",
        ModelCorrupted,
        ["failed to read magic"],
    ),
    "projector of another model": (
        """\
0.00.790.373 E mtmd_init_from_file: error: mismatch between text model (n_embd = 576) and mmproj (n_embd = 64)
hint: you may be using wrong mmproj

0.00.790.406 E srv    load_model: failed to load multimodal model, '/folder/w/mm.gguf'""",
        ModelUnsupported,
        ["projector 'mmproj-t.gguf'", "The engine says: mismatch between text model (n_embd = 576)"],
    ),
    "projector of an unknown kind": (
        """\
0.00.002.758 E mtmd_get_memory_usage: error: Failed to load CLIP model from /folder/w/mm2.gguf

0.00.758.238 E clip_init: failed to load model '/folder/w/mm2.gguf': load_hparams: unknown projector type: gemmaX

0.00.764.018 E mtmd_init_from_file: error: Failed to load CLIP model from /folder/w/mm2.gguf""",
        ModelUnsupported,
        ["unknown projector type: gemmaX"],
    ),
    "projector that is no projector": (
        """\
0.00.777.819 E gguf_init_from_reader: failed to read magic
0.00.777.915 E mtmd_init_from_file: error: Failed to load CLIP model from /folder/w/empty.gguf""",
        ModelUnsupported,
        ["The projector 'mmproj-t.gguf'"],
    ),
    "memory for the context": (
        """\
0.01.001.654 E ggml_aligned_malloc: insufficient memory (attempted to allocate 180.00 MB)
0.01.001.673 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 188743680
0.01.009.871 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
0.01.012.637 E srv          init: exiting due to model loading error""",
        LoadOutOfMemory,
        ["180.0 MB", "the context (KV cache)", "needs about 400.0 MB", "had 55.0 MB", "smaller context_size"],
    ),
    "memory for computing": (
        "0.01.0 E x\n0.01.001.673 E graph_reserve: failed to allocate compute buffers",
        LoadOutOfMemory,
        ["the compute buffers"],
    ),
    "memory of the GPU": (
        "0.00.053.808 E ggml_backend_cuda: CUDA error: out of memory",
        LoadOutOfMemory,
        ["the model's weights"],
    ),
    "threads": (
        "terminate called after throwing an instance of 'std::system_error'\n"
        "  what():  Resource temporarily unavailable",
        SystemExhausted,
        ["could not start a thread"],
    ),
    "socket": (
        """\
0.00.003.240 E srv         start: couldn't bind HTTP server socket, hostname: /nonexistent/x.sock, port: 0
0.00.003.287 E srv          init: exiting due to HTTP server error""",
        ServerStartFailed,
        [
            "cannot listen",
            "couldn't bind HTTP server socket, hostname: 'x.sock,'",
            "folder for temporary files",
        ],
    ),
    "internal check": (
        "/workspace/llama.cpp/ggml/src/ggml.c:42: GGML_ASSERT(a == b) failed",
        ServerStartFailed,
        ["internal check", "GGML_ASSERT(a == b) failed"],
    ),
    "unknown": (
        "0.00.053.808 E srv    load_model: something nobody has seen yet\n0.00.1 E srv  init: exiting",
        ServerStartFailed,
        ["something nobody has seen yet."],
    ),
}


def diagnosed(lines: str, code: int = 1, reported: str | None = INIT, **facts: bool) -> FoundryLocalError:
    engine_log = EngineLog()
    for line in lines.splitlines():
        engine_log.add(line)
    reason = engine_log.reason(reported)
    return diagnose(WorkerExit(code, "It ended.", engine_log.last_lines(), reason, 55 * MB, **facts), SPEC)


@pytest.mark.parametrize("name", list(CASES))
def test_the_engines_words_become_a_diagnosis(name: str) -> None:
    lines, kind, said = CASES[name]
    error = diagnosed(lines)
    assert type(error) is kind
    details = str(error.details)
    assert [words for words in said if words not in details] == [], details
    assert "/folder" not in details and "/nonexistent" not in details


def test_an_illegal_instruction_says_that_the_processor_is_too_old() -> None:
    for code in (-4, 0xC000001D):
        error = diagnosed("0.00.0 I load", code, None)
        assert "instruction that this processor does not have" in str(error.details)


@pytest.mark.parametrize(
    ("was_out_of_memory", "code"), [(True, "insufficient_memory"), (False, "server_start_failed")]
)
def test_a_killed_worker_is_out_of_memory_for_sure_only_when_the_kernel_says_so(
    was_out_of_memory: bool, code: str
) -> None:
    error = diagnosed("0.00.0 I load", -9, None, was_out_of_memory=was_out_of_memory)
    assert error.code == code
    assert status_of(error) == (507 if was_out_of_memory else 500)
    assert "ran out of memory" in str(error.details)
    assert "It had 55.0 MB" in str(error.details) and "400.0 MB" in str(error.details)


def test_memory_that_nobody_measured_is_not_told_as_nothing() -> None:
    details = str(diagnose(WorkerExit(-9, "It ended.", [], None, 0), SPEC).details)
    assert "It had" not in details and "The model needs about 400.0 MB" in details


def test_an_end_without_a_word_is_described() -> None:
    assert diagnosed("", 7, None).details == "It ended."
    assert diagnosed("", 1, "it broke").details == "it broke."
