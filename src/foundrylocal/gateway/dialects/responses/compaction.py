"""A conversation made short: the model's own summary of it, as an item that a client sends in its place.

The published API calls the content encrypted, since it is for the server alone. Here it is the text itself in base64:
the conversation is the client's own, and nothing is gained by hiding it from its owner.
"""

from __future__ import annotations

import base64
import binascii

from foundrylocal.gateway.dialects.refusals import refuse

MAX_SUMMARY_TOKENS = 2048
INSTRUCTIONS = (
    "Write a summary of the conversation so far, for yourself: it replaces the conversation, and you go on with it "
    "alone. Keep what the user wants, what was decided and why, what was done, what is left to do, and every name, "
    "path, number and piece of code that is still needed. Write the summary only."
)
_PREFIX = "flsum1."
_HEAD = "Summary of the conversation so far:\n\n"


def seal_summary(text: str) -> str:
    """The summary as the content of a compaction item."""
    return _PREFIX + base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode("ascii")


def open_summary(sealed: str, place: str) -> str:
    """What the model reads in place of the conversation. Raises InvalidRequest for an item of another service."""
    try:
        if not sealed.startswith(_PREFIX):
            raise ValueError("no prefix")
        text = base64.b64decode(sealed[len(_PREFIX) :], b"-_", validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        refuse(place, "was not made by this service: compact the conversation again, or send its items")
    return _HEAD + text
