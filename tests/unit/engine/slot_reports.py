"""A slot as the engine reports it."""

from __future__ import annotations

import json

from foundrylocal.engine.slots import Slot, decode_slots


def report(
    number: int, tag: int, *, read: int = 0, reading: int = 0, decoded: int = 0, is_processing: bool = True
) -> Slot:
    """`read` tokens of the prompt are computed, `reading` are being computed, `decoded` are answered."""
    fields = {
        "id": number,
        "is_processing": is_processing,
        "id_task": number,
        "n_prompt_tokens": read + reading + decoded,
        "n_prompt_tokens_processed": read,
        "n_prompt_tokens_cache": 0,
        "params": {"n_discard": tag},
        "next_token": [{"n_decoded": decoded}],
    }
    (slot,) = decode_slots(json.dumps([fields]).encode())
    return slot
