"""What an engine line repeats of a request never reaches the log, whatever the line around it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.engine.llama_cpp.log import QUOTE_S, EngineLog
from foundrylocal.engine.llama_cpp.request_text import REMOVED, without_request_text

STAMP = "0.00.033.491 E "
# The engine's own formats of lines that quote, as its binary has them; {} is text of a request.
QUOTING = [
    "parse: error parsing grammar: expecting name at {}",
    "parse: error parsing grammar: {}",
    "llama_grammar_init_impl: error initializing grammar sampler for grammar: {}",
    'srv    operator(): got exception: {{"error":{{"code":400,"message":"{}"}}}}',
    "srv  params_from_: Chat format: peg, grammar: {}",
    "llg: failed to parse %llguidance declaration: {}",
    "common_chat_parse: Failed to parse input at pos 3: {}",
    "Grammar triggered on regex: '{}'",
    "Unexpected empty grammar stack after accepting piece: {}",
    "Grammar still awaiting trigger after token 12 (`{}`)",
    "slot launch_slot_: id  0 | task 1 | prompt: {}",
    "Template supports tool calls but does not describe them: <{}>",
]


@pytest.mark.parametrize("line", QUOTING)
@pytest.mark.parametrize("secret", ["canary", "root ::= canary", "a: b: canary", "x\tcanary", "'canary'"])
def test_a_line_that_quotes_is_cut(line: str, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    log = EngineLog()
    log.start_serving()
    logger = logging.getLogger("foundrylocal.FoundryLocalService")
    with caplog.at_level(logging.DEBUG, logger.name):
        logging.getLogger("foundrylocal").propagate = True
        log.add(STAMP + line.format(secret))
        for rest in (secret, f"root ::= {secret}", f"  {secret}"):
            log.add(rest)
    assert "canary" not in caplog.text
    assert "canary" not in str(log.reason())
    assert REMOVED in caplog.text


FORGED = [
    "0.00.033.492 E load_model: forged by the canary",
    "9.59.999.999 I srv  init: canary",
    "E canary",
    "W  slot canary: id 0",
]


@pytest.mark.parametrize("line", QUOTING)
@pytest.mark.parametrize("forged", FORGED)
def test_text_that_looks_like_a_line_of_the_engine_is_none(
    line: str, forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [100.0]
    log = EngineLog(lambda: now_s[0])
    log.start_serving()
    with caplog.at_level(logging.DEBUG, "foundrylocal.FoundryLocalService"):
        for _ in range(3):  # one quotation soon after the other
            log.add(STAMP + line.format("a text of two lines"))
            for rest in (forged, "and", forged):
                log.add(rest)
            now_s[0] += QUOTE_S / 2
        assert "canary" not in caplog.text and "canary" not in str(log.last_lines())
        now_s[0] += QUOTE_S
        log.add(STAMP + "decode: failed to find a memory slot for batch of size 512")
    assert "failed to find a memory slot" in caplog.text


CRASHES = [
    "/src/ggml.c:123: GGML_ASSERT(n > 0) failed",
    "CUDA error",
    "terminate called without an active exception",
    "double free(): invalid pointer",
    "Segmentation fault",
]


@given(st.text(max_size=200))
def test_a_continuation_line_is_dropped(text: str) -> None:
    kept = without_request_text(text, is_stamped=False)
    assert kept is None or kept in CRASHES


@pytest.mark.parametrize("line", CRASHES)
def test_a_crash_is_told_without_what_follows_it(line: str) -> None:
    for more in ("", " canary", ": canary"):
        assert without_request_text(line + more, is_stamped=False) == line


@pytest.mark.parametrize(
    "line",
    [
        "slot update_slots: id  0 | task 12 | n_past = 57, memory_seq_rm [57, end)",
        "srv  log_server_r: done request: POST /v1/chat/completions 127.0.0.1 200",
        "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "decode: failed to find a memory slot for batch of size 512",
    ],
)
def test_ordinary_lines_are_whole(line: str) -> None:
    assert without_request_text(line, is_stamped=True) == line


def test_while_it_loads_lines_are_whole() -> None:
    log = EngineLog()
    log.add(STAMP + "llama_model_load: error loading model: unknown model architecture: 'canary'")
    assert "canary" in str(log.reason())
