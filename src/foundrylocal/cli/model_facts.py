"""What the catalog says about a model, in words for people."""

from __future__ import annotations

from typing import Any

from foundrylocal.kit.sizes import format_bytes

# A publisher that claims so many languages and names none of them is taken to mean every common one.
MANY_LANGUAGES = 100


def purpose_of(model: dict[str, Any]) -> str | None:
    """What it is for, in one word; None if unknown."""
    purpose = model.get("purpose")
    return "base" if purpose == "completion" else purpose


def memory_of(model: dict[str, Any]) -> str | None:
    """What it takes with its default context; with a + what it takes at least. None if unknown."""
    if default := model.get("default_memory"):
        return str(default["needed_formatted"])
    least = model.get("needed_memory_bytes")
    return f"{format_bytes(least)}+" if least else None


def speaks(model: dict[str, Any], language: str) -> bool:
    """Whether the publisher names the language, or claims more languages than anybody would list."""
    named = model.get("languages") or []
    return language.lower() in named or (not named and (model.get("language_count") or 0) >= MANY_LANGUAGES)


def languages_of(model: dict[str, Any]) -> str:
    """The languages that the publisher names or counts."""
    named, count = model.get("languages") or [], model.get("language_count")
    if named and count:
        return f"{' '.join(named)} and others, {count}+ in total"
    if named:
        return " ".join(named)
    return f"{count}+ languages" if count else "not stated by the publisher"
