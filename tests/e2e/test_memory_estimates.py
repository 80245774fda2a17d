"""The plan's memory against what a worker really takes: never below it, and at most a quarter above."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.catalog.shapes import expected_files
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.engine import WORKER, BuiltInEngine
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.load_options import EffectiveOptions
from tests.real_models import fetch
from tests.running import BASE_MODEL_ID, CHAT_MODEL_ID, TEST_MODELS

pytestmark = pytest.mark.model
MAX_SHARE = 1.25
LOAD_TIMEOUT_S = 240.0
# Context, slots and cache type; the second model has sliding windows and a context of 32,768.
VARIANTS: list[tuple[str, int, int, str]] = [
    (CHAT_MODEL_ID, 512, 1, "f16"),
    (CHAT_MODEL_ID, 4_096, 1, "f16"),
    (CHAT_MODEL_ID, 8_192, 4, "f16"),
    (CHAT_MODEL_ID, 8_192, 16, "f16"),
    (CHAT_MODEL_ID, 8_192, 4, "q8_0"),
    (CHAT_MODEL_ID, 8_192, 4, "q4_0"),
    (BASE_MODEL_ID, 512, 1, "f16"),
    (BASE_MODEL_ID, 4_096, 4, "f16"),
    (BASE_MODEL_ID, 8_192, 16, "f16"),
    (BASE_MODEL_ID, 32_768, 1, "f16"),
    (BASE_MODEL_ID, 32_768, 4, "q8_0"),
    (BASE_MODEL_ID, 32_768, 4, "f16"),
]


def _spec(number: int, model_id: str, **options: Any) -> ReplicaSpec:
    fetch(model_id)
    found = Library(TEST_MODELS).inspect(Registry.load().find(model_id))
    assert found is not None
    files, chosen = ModelFiles(*found), EffectiveOptions(threads=1, **options)
    need = files.estimate(chosen)
    size_bytes = files.stored.size_bytes
    path = files.stored.model_path
    return ReplicaSpec(f"{number}", model_id, path, None, size_bytes, need.total_bytes, chosen)


def test_twelve_loads_take_what_their_estimates_say(tmp_path: Path) -> None:
    shares: dict[tuple[str, int, int, str], float] = {}

    async def main() -> None:
        launcher = LocalLauncher(tmp_path, Engines(BuiltInEngine(WORKER)))
        async with anyio.create_task_group() as group:
            await group.start(launcher.run)
            for number, variant in enumerate(VARIANTS):
                model_id, context, slots, cache = variant
                spec = _spec(number, model_id, context_size=context, parallel=slots, kv_cache_type=cache)
                await launcher.launch(spec)
                await launcher.wait_ready(spec.id, LOAD_TIMEOUT_S)
                status = await launcher.inspect(spec.id)
                assert status is not None
                shares[variant] = spec.memory_bytes / status.memory_bytes
                await launcher.stop(spec.id)
            group.cancel_scope.cancel()

    anyio.run(main)
    assert {variant: share for variant, share in shares.items() if not 1 <= share <= MAX_SHARE} == {}


@pytest.mark.parametrize("model_id", [CHAT_MODEL_ID, BASE_MODEL_ID])
def test_the_catalog_knows_before_the_download_what_the_file_says_after_it(model_id: str) -> None:
    fetch(model_id)
    model = Registry.load().find(model_id)
    found, expected = Library(TEST_MODELS).inspect(model), expected_files(model)
    assert found is not None and expected is not None
    for context_size in (512, 4_096, 8_192):
        options = EffectiveOptions(context_size=context_size)
        assert expected.estimate(options) == ModelFiles(*found).estimate(options)
