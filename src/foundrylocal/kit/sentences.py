"""Sentences put together from parts that others wrote."""

from __future__ import annotations


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends with a mark of its own."""
    return text if text.endswith((".", "?", "!", ":")) else f"{text}."
