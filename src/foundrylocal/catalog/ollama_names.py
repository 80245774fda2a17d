"""Ollama's names of the catalog's models: `qwen2.5:0.5b`, `llama3.2`, `llama3.2:1b-instruct-q8_0`.

A name without a tag, or with the tag `latest`, is the size that Ollama has under it. Invariant: every name leads to a
model of the catalog; a test checks the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from foundrylocal.catalog import names

LATEST = ":latest"
_TABLE = Path(__file__).with_name("ollama_names.json")
_PREFIXES = ("registry.ollama.ai/", "library/")


def without_latest(name: str) -> str:
    """The name as people write it: without the tag `latest`, and without the address of Ollama's library."""
    bare = name.strip()
    for prefix in _PREFIXES:
        bare = bare.removeprefix(prefix)
    return bare[: -len(LATEST)] if bare.casefold().endswith(LATEST) else bare


def find_alias(name: str, aliases: Mapping[str, str]) -> str | None:
    """The alias that is meant, by its own spelling or, as for all names, whatever the case and the tag `latest`."""
    for spelling in (name, without_latest(name)):
        if spelling in aliases:
            return spelling
    wanted = names.key(without_latest(name))
    return next((alias for alias in aliases if names.key(without_latest(alias)) == wanted), None)


def aliased(name: str, aliases: Mapping[str, str]) -> str:
    """What an alias stands for; the name itself when it is no alias."""
    alias = find_alias(name, aliases)
    return name if alias is None else aliases[alias]


@cache
def ollama_names() -> Mapping[str, str]:
    """Simple names of models by Ollama's names in the form of `names.key`, without `:latest`."""
    found: dict[str, str] = {}
    for base, entry in json.loads(_TABLE.read_bytes())["models"].items():
        for tag, simple_name in entry["tags"].items():
            found[names.key(f"{base}:{tag}")] = simple_name
        if entry["latest"] is not None:
            found[names.key(base)] = entry["tags"][entry["latest"]]
    return found


@cache
def _names_by_model() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for base, entry in json.loads(_TABLE.read_bytes())["models"].items():
        tags: Mapping[str, str] = entry["tags"]
        if entry["latest"] is not None:
            found.setdefault(tags[entry["latest"]], []).append(base + LATEST)
        for tag, simple_name in tags.items():
            found.setdefault(simple_name, []).append(f"{base}:{tag}")
    return {simple_name: tuple(short_first) for simple_name, short_first in found.items()}


def names_in_ollama(simple_name: str) -> tuple[str, ...]:
    """What Ollama calls the model, with tags: `latest` first, then sizes, then full tags. Empty for most imports."""
    return _names_by_model().get(simple_name, ())
