"""The engine's log lines: the reason of a failure is found, and no folder is shown."""

from __future__ import annotations

import logging

import pytest

from foundrylocal.engine.llama_cpp.log import LINE_LENGTH, EngineLog, without_folders
from foundrylocal.engine.local.posix import describe_exit

CORRUPT = """\
0.00.004.892 I srv    load_model: loading model '/home/me/models/bad.gguf'
0.00.033.491 E llama_model_load: error loading model: tensor 'token_embd.weight' data is not within the file bounds
0.00.033.543 E llama_model_load_from_file_impl: failed to load model
0.00.053.808 E srv    load_model: failed to load model, '/home/me/models/bad.gguf'
"""


def test_the_reason_is_the_engines_own() -> None:
    lines = EngineLog()
    for line in CORRUPT.splitlines():
        lines.add(line)
    assert lines.reason() == "tensor 'token_embd.weight' data is not within the file bounds"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("it broke", "it broke"),
        ("Failed to init server, please check", "srv load_model: failed to load model, 'b.gguf'"),
    ],
)
def test_without_a_known_line_the_workers_word_counts_unless_it_says_nothing(
    reported: str, expected: str
) -> None:
    lines = EngineLog()
    lines.add("0.00.053.808 E srv    load_model: failed to load model, '/a/b.gguf'")
    assert lines.reason(reported) == expected


def test_folders_are_cut_from_what_is_shown() -> None:
    assert without_folders("cannot open '/home/me/x/model.gguf' now") == "cannot open 'model.gguf' now"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open '/home/me x/y/model.gguf' now", "cannot open 'model.gguf' now"),
        ("gguf:/home/me/model.gguf: no", "gguf:'model.gguf': no"),
        ('at "C:\\Users\\me\\model.gguf"', "at 'model.gguf'"),
        ("listening on http://127.0.0.1:1234/v1/models", "listening on http://127.0.0.1:1234/v1/models"),
        ("tokens/s and /health", "tokens/s and /health"),
    ],
)
def test_paths_are_cut_and_nothing_else(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "line", ["E " + "/" * 60 + " ", "E " + "/a" * 1000 + "'", "E " + " " * 100_000, "E '" + "/" * 2000]
)
def test_any_line_is_read_at_once(line: str) -> None:
    engine_log = EngineLog()
    for _ in range(100):
        engine_log.add(line)
    assert engine_log.reason("why") is not None


@pytest.mark.parametrize("letter", ["x", "/", " y", "'", "\x1b", "\u00e9"])
@pytest.mark.parametrize("is_serving", [False, True])
def test_a_line_is_cut_before_anything_looks_at_it(
    letter: str, is_serving: bool, caplog: pytest.LogCaptureFixture
) -> None:
    engine_log = EngineLog()
    if is_serving:
        engine_log.start_serving()
    with caplog.at_level(logging.DEBUG, logger="foundrylocal.FoundryLocalService"):
        engine_log.add("0.00.033.491 E load: " + letter * 50_000)
    assert all(len(line) <= LINE_LENGTH for line in engine_log.last_lines())
    assert all(len(message) <= LINE_LENGTH + len("engine: ") for message in caplog.messages)
    assert caplog.messages and engine_log.last_lines()


def test_memory_is_named() -> None:
    engine_log = EngineLog()
    engine_log.add("0.00.053.808 E ggml_backend: CUDA Out of Memory")
    assert engine_log.reason() == "ggml_backend: CUDA Out of Memory"


def test_an_exit_is_described() -> None:
    assert describe_exit(7) == "The worker exited with code 7."
    assert "out of memory" in describe_exit(-9)
