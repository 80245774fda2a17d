"""Loads that fail for real: the engine's own words, and the diagnosis that the caller gets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.engine import WORKER, BuiltInEngine
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import FoundryLocalError, LoadOutOfMemory, ModelCorrupted, ModelUnsupported
from foundrylocal.wire.load_options import EffectiveOptions
from tests.e2e.test_vision import write_projector
from tests.fakes.gguf_edit import write_with_keys
from tests.running import CHAT_MODEL_ID, TEST_MODELS

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("model_cache")]
MB = 1024 * 1024


def _failure(spec: ReplicaSpec, state: Path, command: tuple[str, ...] = ()) -> FoundryLocalError:
    """What a load with this specification fails with."""
    errors: list[FoundryLocalError] = []

    async def main() -> None:
        launcher = LocalLauncher(state, Engines(BuiltInEngine(command)))
        async with anyio.create_task_group() as group:
            await group.start(launcher.run)
            await launcher.launch(spec)
            try:
                await launcher.wait_ready(spec.id, 120)
            except FoundryLocalError as error:
                errors.append(error)
            group.cancel_scope.cancel()

    anyio.run(main)
    (error,) = errors
    assert str(state) not in str(error.details)
    return error


def _chat() -> Path:
    stored = Library(TEST_MODELS).get(CHAT_MODEL_ID)
    assert stored is not None
    return stored.model_path


def _spec(model: Path, projector: Path | None = None, context_size: int = 512) -> ReplicaSpec:
    options = EffectiveOptions(context_size=context_size, parallel=1, threads=1)
    return ReplicaSpec("one", "a/Tiny", model, projector, 90 * MB, 400 * MB, options)


def _cut_short(path: Path) -> None:
    path.write_bytes(_chat().read_bytes()[: 50 * MB])


def _other_architecture(path: Path) -> None:
    write_with_keys(_chat(), path, {"general.architecture": "nonesuch"})


def _more_layers(path: Path) -> None:
    write_with_keys(_chat(), path, {"llama.block_count": 40})


@pytest.mark.parametrize(
    ("write", "kind", "words"),
    [
        (_cut_short, ModelCorrupted, "not within the file bounds"),
        (_other_architecture, ModelUnsupported, "architecture 'nonesuch'"),
        (_more_layers, ModelUnsupported, "tensor 'blk.30.attn_norm.weight' not found"),
    ],
)
def test_a_model_that_the_engine_cannot_load(
    tmp_path: Path, write: Callable[[Path], None], kind: type[FoundryLocalError], words: str
) -> None:
    model = tmp_path / "model.gguf"
    write(model)
    error = _failure(_spec(model), tmp_path)
    assert type(error) is kind
    assert words in str(error.details)


def test_a_projector_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.e2e.test_vision._MODEL_WIDTH", 64)
    write_projector(tmp_path / "mmproj.gguf")
    error = _failure(_spec(_chat(), tmp_path / "mmproj.gguf"), tmp_path)
    assert type(error) is ModelUnsupported
    assert "The projector 'mmproj.gguf'" in str(error.details)
    assert "n_embd = 576" in str(error.details)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of a process's memory")
def test_memory_that_the_system_refuses(tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh", *WORKER)
    error = _failure(_spec(_chat(), context_size=1_000_000), tmp_path, limited)
    assert type(error) is LoadOutOfMemory
    assert "the context (KV cache)" in str(error.details)
    assert "21.5 GB" in str(error.details)


def test_without_a_gpu_a_model_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _other_architecture(tmp_path / "model.gguf")
    _failure(_spec(tmp_path / "model.gguf"), tmp_path)
    assert caplog.text.count("unknown model architecture") == 1
