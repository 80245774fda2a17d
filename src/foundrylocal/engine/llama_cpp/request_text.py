"""Removes what an engine line repeats of a request: the text of a grammar, a schema, a template or an answer.

The engine quotes them when it cannot parse them, on its log line and on lines of its own after it. Invariant: once
the engine serves requests, what is kept of a line was written by the engine's authors.
"""

from __future__ import annotations

import re
from typing import Final

REMOVED: Final = "[request text removed]"
MAX_PREFIX_CHARS: Final = 120

# Words of the lines that quote: grammars and their triggers, schemas, templates, JSON, tool calls, generated text.
_MAY_QUOTE: Final = re.compile(
    r"gramma|schema|pars|template|exception|json|regex|pattern|trigger|prompt|tool|token|piece|llg|lark|input|invalid|expect",
    re.IGNORECASE,
)
# Where a quotation begins, if not after a colon.
_QUOTE: Final = re.compile(r"[\"'`{}\[\]<>]")
# Lines without a time stamp that report a crash; any other line without one continues a longer message.
_CRASH: Final = re.compile(
    r"[\w./+-]{1,200}:[0-9]{1,6}: GGML_(?:ASSERT|ABORT)\(.{0,300}\) failed"
    r"|(?:CUDA|HIP) error"
    r"|terminate called(?: recursively| without an active exception)?"
    r"|(?:double )?free\(\): invalid (?:pointer|size)"
    r"|Segmentation fault|Aborted|Killed"
)
# `function:`, or the server's `srv  function:`.
_FUNCTION: Final = re.compile(r"(?:[a-z]{2,4} {1,14})?[\w~()]{1,80}")


def without_request_text(text: str, *, is_stamped: bool) -> str | None:
    """The part of an engine line that may be logged while requests are served; None when there is none.

    `is_stamped` says whether the line began with the engine's time stamp and level.
    """
    if not is_stamped:
        crash = _CRASH.match(text)
        return crash[0] if crash is not None else None
    if not _MAY_QUOTE.search(text):
        return text
    head = text[:MAX_PREFIX_CHARS]
    if (quote := _QUOTE.search(head)) is not None:
        head = head[: quote.start()]
    # The function's name and the phrase after it; what follows the next colon may be anybody's.
    first, *others = head.split(":")
    head = ":".join([first, *others[:1]]) if _FUNCTION.fullmatch(first) else first
    return text if head == text else f"{head.rstrip()} {REMOVED}"
