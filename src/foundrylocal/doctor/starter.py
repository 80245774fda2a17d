"""Loading the starter model for a check: its specification, and the time that it takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.load_options import EffectiveOptions

CONTEXT_TOKENS = 512

Launch = Callable[[ReplicaSpec], AbstractAsyncContextManager[Address]]


def starter_spec(library: Library, model: Model) -> ReplicaSpec | None:
    """A small replica of the model; None when it is not downloaded. Blocking. Raises ModelCorrupted."""
    found = library.inspect(model)
    if found is None:
        return None
    files = ModelFiles(*found)
    options = EffectiveOptions.model_validate({"context_size": files.limit(CONTEXT_TOKENS), "parallel": 1})
    return ReplicaSpec(
        id=f"{model.model_id}#doctor",
        model_id=model.model_id,
        model_path=files.stored.model_path,
        projector_path=files.stored.projector_path,
        file_bytes=files.stored.size_bytes,
        memory_bytes=files.estimate(options).total_bytes,
        options=options,
    )


async def load_seconds(library: Library, model: Model, launch: Launch) -> float | None:
    """Seconds from launch to the first health check; None when the model is not downloaded.

    Raises what `trial_replica` raises, and ModelCorrupted.
    """
    spec = await anyio.to_thread.run_sync(starter_spec, library, model)
    if spec is None:
        return None
    began_s = anyio.current_time()
    async with launch(spec):
        return anyio.current_time() - began_s
