"""What a model is for, by what its catalog entry or its file says; None where neither does."""

from __future__ import annotations

from typing import Literal

from foundrylocal.catalog.registry import Model

Purpose = Literal["embedding", "rerank", "vision", "code", "reasoning", "chat", "completion"]
Tuning = Literal["chat", "base"]

# The first that a model can do is what people choose it for.
_BY_CAPABILITY: tuple[Purpose, ...] = ("embedding", "rerank", "vision", "code", "reasoning", "chat")


def purpose_of(model: Model) -> Purpose | None:
    """The purpose in one word; `completion` is a base model, which continues text."""
    for purpose in _BY_CAPABILITY:
        if purpose in model.capabilities:
            return purpose
    return "completion" if model.is_base else None


def tuning_of(model: Model) -> Tuning | None:
    """Whether a model was trained for conversations; None for embeddings and rerankers, and when nobody says."""
    if model.is_base:
        return "base"
    return "chat" if "chat" in model.capabilities else None
