"""The plain values in a GGUF: what the file says about its model, for people and clients that show it.

Invariant: bounded like the header itself. Lists are left out, texts are cut, and so is the number of keys.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from foundrylocal.catalog.gguf.read import open_metadata

CHAT_TEMPLATE: Final = "tokenizer.chat_template"
_MAX_VALUES: Final = 1024
_TEXT_LIMIT_BYTES: Final = 4096
_TEMPLATE_LIMIT_BYTES: Final = 1024 * 1024
Value = str | int | float | bool | None


def read_values(path: Path) -> dict[str, Value]:
    """Every value by its key, None for a list; blocking. Raises GgufInvalid, OSError."""
    with open_metadata(path, keeps=lambda key: len(key) <= _TEXT_LIMIT_BYTES) as metadata:
        found: dict[str, Value] = {}
        for key in metadata.keys()[:_MAX_VALUES]:
            limit = _TEMPLATE_LIMIT_BYTES if key == CHAT_TEMPLATE else _TEXT_LIMIT_BYTES
            value = metadata.value(key, limit)
            found[key] = None if isinstance(value, float) and not math.isfinite(value) else value
        return found
