"""LoRA adapters of a load: found by name, checked against the model, before anything is loaded.

Invariant: an adapter that the engine would refuse, because it is not there or was made for another architecture, is
refused here by name; a model is never loaded without an adapter that it was asked to have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import LoadedAdapter
from foundrylocal.errors import InvalidRequest, ModelCorrupted, ModelNotFound, sentence
from foundrylocal.pool.supply import ModelFiles, Supply
from foundrylocal.wire.load_options import LoraAdapter


class AdapterUnusable(InvalidRequest):
    """An adapter of a load cannot be applied to its model."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The LoRA adapter '{name}' cannot be used", f"lora: {sentence(reason)}", param="lora"
        )


class AdapterNotStartable(InvalidRequest):
    """An adapter was asked for as if it were a model."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' is a LoRA adapter, not a model",
            f'Start the model that it was made for with the option lora: [{{"model": "{name}"}}], or save that in '
            "the model's preset.",
            param="model_name",
        )


class Adapters:
    """Finds the adapters of a load; owns nothing."""

    def __init__(self, find_model: Callable[[str], Model], supply: Supply) -> None:
        self._find_model = find_model
        self._supply = supply

    async def find(self, files: ModelFiles, asked: Sequence[LoraAdapter]) -> tuple[LoadedAdapter, ...]:
        """The files of these adapters, for the model with these `files`. Raises AdapterUnusable with the reason."""
        return tuple([await self._find(files, one) for one in asked])

    async def _find(self, files: ModelFiles, asked: LoraAdapter) -> LoadedAdapter:
        name = asked.model
        try:
            model = self._find_model(name)
            found = await self._supply.inspect(model)
        except ModelNotFound:
            raise AdapterUnusable(
                name, "There is no adapter of that name. Import its file: POST /models/import."
            ) from None
        except ModelCorrupted as error:
            raise AdapterUnusable(name, error.details or error.message) from None
        if not model.is_adapter:
            raise AdapterUnusable(name, "It is a model, not an adapter. Name an imported LoRA adapter.")
        if found is None:
            raise AdapterUnusable(name, "Its file is not there any more. Import it again.")
        made_for, needed = found.header.architecture, files.header.architecture
        if made_for != needed:
            raise AdapterUnusable(
                name,
                f"It was made for the architecture '{made_for}', and this model is '{needed}'. Use an adapter that "
                "was trained on this model.",
            )
        stored = found.stored
        return LoadedAdapter(stored.model_path, asked.scale, stored.size_bytes, stored.content_id)
