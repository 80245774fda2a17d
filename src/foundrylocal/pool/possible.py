"""Whether a model can be loaded with a preset at all: what is known before anybody tries.

Invariant: an error names the field, says why it is impossible for this model, and what to use instead.
"""

from __future__ import annotations

from collections.abc import Collection

from foundrylocal.catalog.memory import CACHE_BLOCKS
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import InvalidRequest, sentence
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.presets import Preset


class NotPossible(InvalidRequest):
    """A value of a preset that no load of this model could honor."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(
            "The preset is not possible for this model", f"{field}: {sentence(reason)}", param=field
        )


def refuse_impossible(
    model: Model, files: ModelFiles | None, preset: Preset, fields: Collection[str]
) -> None:
    """Raise NotPossible for the first of these fields whose value is impossible for the model.

    `files` is None while it is not downloaded: then only what its catalog entry says is known.
    """
    if "context_size" in fields:
        _check_context(model, files, preset)
    if "kv_cache_type" in fields and files is not None:
        _check_cache_type(files, preset)


def _check_context(model: Model, files: ModelFiles | None, preset: Preset) -> None:
    most = files.header.context_length if files else model.context_length
    asked = preset.context_size
    if isinstance(asked, int) and most and asked > most:
        raise NotPossible(
            "context_size",
            f"the model supports at most {most} tokens of context. Use that or less, or 'auto'.",
        )


def _check_cache_type(files: ModelFiles, preset: Preset) -> None:
    if preset.kv_cache_type is None:
        return
    elements, _ = CACHE_BLOCKS[preset.kv_cache_type]
    for length in (files.header.key_length, files.header.value_length):
        if length and length % elements:
            raise NotPossible(
                "kv_cache_type",
                f"the heads of this model have {length} values, which {preset.kv_cache_type} cannot store in blocks "
                f"of {elements}. Use f16.",
            )
