"""What proposes tokens for a model: nothing, the text so far, a draft model, or the model's own MTP heads.

A draft model is named in the load option `speculative`. Invariant: a draft that the engine would refuse, because it
is not there or its vocabulary differs, is refused here, by name and before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio.to_thread

from foundrylocal.catalog.gguf.bytes import GgufInvalid
from foundrylocal.catalog.gguf.header import GgufHeader
from foundrylocal.catalog.gguf.vocabulary import find_difference, read_vocabulary
from foundrylocal.catalog.memory import MemoryEstimate, estimate
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError, InvalidRequest, ModelCorrupted, ModelNotFound, sentence
from foundrylocal.pool.supply import ModelFiles, Supply
from foundrylocal.wire.load_options import DraftModel, EffectiveOptions

# What the worker gives the engine for "ngram" (`worker/parameters.py`; a test compares the two).
NGRAM_DRAFT_TOKENS: Final = 24
_BATCH_TOKENS: Final = 512
_F32_BYTES: Final = 4
_MAX_KNOWN: Final = 256


class DraftModelUnusable(InvalidRequest):
    """The draft model of a load cannot propose tokens for its model."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The draft model '{name}' cannot be used",
            f"speculative: {sentence(reason)}",
            param="speculative",
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft model that fits; `path` is None for the model's own MTP heads."""

    path: Path | None
    header: GgufHeader | None = None
    file_bytes: int = 0


class Drafts:
    """Finds the draft model of a load. Owns what is known of pairs of files, so that vocabularies are read once."""

    def __init__(self, find_model: Callable[[str], Model], supply: Supply) -> None:
        self._find_model = find_model
        self._supply = supply
        self._known: dict[tuple[str, str], str | None] = {}

    async def find(self, model: Model, files: ModelFiles, asked: str | DraftModel) -> Draft | None:
        """The draft that a load with this option uses; None when it uses none.

        Raises DraftModelUnusable with the reason.
        """
        if isinstance(asked, str):
            return None
        name = asked.draft_model
        other = self._named(name)
        if other.model_id == model.model_id:
            return _own_heads(files, name)
        draft = await self._files_of(other, name)
        reason = await self._difference(files, draft)
        if reason is not None:
            raise DraftModelUnusable(name, f"{reason} A draft model needs the same vocabulary as its model.")
        return Draft(draft.stored.model_path, draft.header, draft.stored.size_bytes)

    def _named(self, name: str) -> Model:
        try:
            return self._find_model(name)
        except ModelNotFound as error:
            raise DraftModelUnusable(
                name, f"There is no model of that name. {error.details or ''}".strip()
            ) from None

    async def _files_of(self, other: Model, name: str) -> ModelFiles:
        try:
            draft = await self._supply.inspect(other)
        except ModelCorrupted as error:
            raise DraftModelUnusable(name, error.details or error.message) from None
        if draft is None:
            raise DraftModelUnusable(
                name, f"It is not downloaded: POST /models/{other.simple_name}/download."
            )
        if draft.header.is_embedding or draft.header.is_reranker:
            raise DraftModelUnusable(name, "It is an embedding or reranking model, which generates no text.")
        return draft

    async def _difference(self, files: ModelFiles, draft: ModelFiles) -> str | None:
        """How their vocabularies differ; None when they agree."""
        pair = (_identity(files), _identity(draft))
        if pair not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            paths = files.stored.model_path, draft.stored.model_path
            self._known[pair] = await anyio.to_thread.run_sync(_compare, *paths)
        return self._known[pair]


def _own_heads(files: ModelFiles, name: str) -> Draft:
    if not files.header.mtp_layers:
        raise DraftModelUnusable(
            name, "The model names itself, but its file has no MTP heads. Name another model, or use 'ngram'."
        )
    return Draft(None)


def _identity(files: ModelFiles) -> str:
    return f"{files.stored.model_path}:{files.header.file_bytes}:{files.header.data_offset}"


def _compare(model: Path, draft: Path) -> str | None:
    try:
        return find_difference(read_vocabulary(model), read_vocabulary(draft))
    except (GgufInvalid, OSError) as error:
        return f"Its vocabulary cannot be read: {getattr(error, 'strerror', None) or error}."


def memory_of(options: EffectiveOptions, header: GgufHeader, draft: Draft | None) -> MemoryEstimate:
    """What speculative decoding adds to the memory of a replica.

    The engine keeps the logits of all tokens that it verifies at once, for each slot; a draft model has a context of
    the same size beside the model's.
    """
    tokens = _proposed_tokens(options)
    rows = min(_BATCH_TOKENS, options.parallel * (1 + tokens)) - options.parallel if tokens else 0
    logits_bytes = max(0, rows) * header.cache.vocabulary_size * _F32_BYTES
    if draft is None or draft.header is None:
        return MemoryEstimate(0, 0, logits_bytes)
    own = estimate(
        draft.header, draft.file_bytes, context_size=options.context_size, parallel=options.parallel
    )
    return MemoryEstimate(own.weights_bytes, own.kv_cache_bytes, own.compute_bytes + logits_bytes)


def _proposed_tokens(options: EffectiveOptions) -> int:
    """How many tokens are proposed at a time for one slot."""
    match options.speculative:
        case "off":
            return 0
        case "ngram":
            return NGRAM_DRAFT_TOKENS
        case draft:
            return draft.max_tokens


def add(need: MemoryEstimate, more: MemoryEstimate) -> MemoryEstimate:
    """Both together."""
    return MemoryEstimate(
        need.weights_bytes + more.weights_bytes,
        need.kv_cache_bytes + more.kv_cache_bytes,
        need.compute_bytes + more.compute_bytes,
    )


def unsupported_by(flags: frozenset[str], asked: str | DraftModel) -> FoundryLocalError | None:
    """Why a llama-server binary with these options cannot do it; the built-in engine, which has none, can."""
    if asked == "off" or not flags or "--spec-type" in flags:
        return None
    return InvalidRequest(
        "The engine has no speculative decoding",
        "speculative: this llama-server has no --spec-type. Install a newer one, or use the built-in engine.",
        param="speculative",
    )
