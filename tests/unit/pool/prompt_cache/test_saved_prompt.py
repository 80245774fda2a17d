"""Which replicas a saved prompt fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.engine.replica import LoadedAdapter
from foundrylocal.pool.prompt_cache.saved_prompt import Fit, Index, fit_of, read_index
from foundrylocal.wire.load_options import DraftModel, LoraAdapter
from tests.unit.pool.prompt_cache.state_files import spec

BUILD = "engine 1"


@pytest.mark.parametrize(
    "changes",
    [
        *({"context_size": 1024}, {"parallel": 2}, {"threads": 3}, {"gpu_layers": 4}),
        *({"speculative": "ngram"}, {"engine": "mine"}, {"id": "another"}),
    ],
    ids=str,
)
def test_how_a_model_runs_does_not_matter(changes: dict[str, object]) -> None:
    assert fit_of(spec(**changes), BUILD) == fit_of(spec(), BUILD)


def test_another_build_or_content_never_fits_again() -> None:
    fit = fit_of(spec(), BUILD)
    others = [fit_of(spec(), "engine 2"), fit_of(spec(content_id="changed"), BUILD)]
    assert fit is not None
    assert all(other is not None and other.origin != fit.origin and other.key != fit.key for other in others)


def test_another_type_of_cache_does_not_fit_now() -> None:
    fit, other = fit_of(spec(), BUILD), fit_of(spec(kv_cache_type="q8_0"), BUILD)
    assert fit is not None
    assert other is not None
    assert (fit.origin, fit.key != other.key) == (other.origin, True)


def test_the_adapters_count_by_content_and_scale(tmp_path: Path) -> None:
    def with_adapter(name: str, content_id: str, scale: float = 1.0) -> Fit | None:
        adapter = LoadedAdapter(tmp_path / name, scale, 1, content_id)
        return fit_of(spec(adapters=(adapter,), lora=[LoraAdapter(model=name, scale=scale)]), BUILD)

    one = with_adapter("one", "content 1")
    assert one is not None
    assert one != fit_of(spec(), BUILD)
    assert with_adapter("renamed", "content 1") == one
    assert with_adapter("one", "content 2") != one
    assert with_adapter("one", "content 1", 0.5) != one
    assert with_adapter("one", "") is None


def test_a_context_that_changes_positions_does_not_fit_now() -> None:
    short, long = fit_of(spec(), BUILD), fit_of(spec(has_long_context=True), BUILD)
    assert short is not None
    assert long is not None
    assert (short.origin, short.key != long.key) == (long.origin, True)


@pytest.mark.parametrize(
    "changes",
    [
        *({"is_embedding": True}, {"is_reranking": True}, {"content_id": ""}),
        *({"speculative": DraftModel(draft_model="small")}, {"lora": [LoraAdapter(model="adapter")]}),
    ],
    ids=str,
)
def test_what_keeps_no_prompt_or_cannot_be_identified_is_not_saved(changes: dict[str, object]) -> None:
    assert fit_of(spec(**changes), BUILD) is None
    assert fit_of(spec(), "") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 2}', b'{"prompts": [{"name": 1}]}'])
def test_a_damaged_index_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_index(data)


def test_an_empty_index() -> None:
    assert read_index(b"{}") == Index()
