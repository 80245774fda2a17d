"""`foundrylocal tune`: progress, then what is better and by how much."""

from __future__ import annotations

import json

from tests.fakes.management_api import Run, Script

BEFORE = {
    "options": {"threads": None, "batch_tokens": None, "kv_cache_type": "f16"},
    "prefill_tokens_per_second": 412.0,
    "decode_tokens_per_second": 50.25,
}
AFTER = {
    "options": {"threads": 2, "batch_tokens": 256, "kv_cache_type": "f16"},
    "prefill_tokens_per_second": 600.0,
    "decode_tokens_per_second": 80.0,
}
ANSWER = {"success": True, "message": "Preset saved", "is_saved": True, "before": BEFORE, "after": AFTER}


EVENTS = [
    {"type": "progress", "message": "Tuning Tiny-GGUF"},
    {
        "type": "progress",
        "message": "2 threads: 80 tokens/s",
        "progress": {"stage": "tuning", "percent": 50.0, "eta_seconds": 60},
    },
    {"type": "success", "message": "Preset saved", "data": ANSWER},
]


def test_progress_and_a_table(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/tune-stream", EVENTS)
    code, out, _ = run("tune", "Tiny-GGUF")
    assert code == 0
    assert out.splitlines() == [
        "Tuning Tiny-GGUF",
        "2 threads: 80 tokens/s",
        "Preset saved",
        "        THREADS  BATCH  CACHE  PROMPT TOKENS/S  ANSWER TOKENS/S",
        "before  auto     auto   f16    412              50.2",
        "after   2        256    f16    600              80.0",
    ]


def test_the_answer_as_json_with_its_progress_beside_it(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/tune-stream", EVENTS)
    code, out, beside = run("tune", "Tiny-GGUF", "--json")
    assert (code, json.loads(out)) == (0, ANSWER)
    assert "2 threads: 80 tokens/s" in beside
