"""Makes text safe to write as one log line: control characters become visible escapes.

Invariant: escaped text has no line break for any reader, starts no terminal sequence, changes no writing direction,
and encodes to UTF-8.
"""

from __future__ import annotations

import re
from typing import Final

# C0, DEL and C1; the line and paragraph separators; marks that reorder text on screen; half surrogate pairs.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    """`text` with each unsafe character written as an escape, such as `\\n`, `\\x1b` or `\\u2028`."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
