"""Draft models: found by name, refused by name when they do not fit, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.pool import drafts
from foundrylocal.pool.drafts import DraftModelUnusable
from foundrylocal.pool.plan import Plan
from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.worker import parameters
from tests.running import BASE_MODEL, CHAT_MODEL, store_tiny_model
from tests.unit.pool.rig import THIRD_MODEL, PoolRunner, Rig

OTHER_TOKENS = ["a", "b", "<s>", "</s>", "", "c", "d", "other"]


@pytest.fixture
def on_drafts(tmp_path: Path) -> PoolRunner:
    """A pool whose third model has another vocabulary, and whose base model has MTP heads."""
    home = tmp_path / "models"
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, keys={"llama.nextn_predict_layers": 1})
    store_tiny_model(home, THIRD_MODEL, keys={"tokenizer.ggml.tokens": OTHER_TOKENS})
    return PoolRunner(home, tmp_path)


async def plan_with(rig: Rig, draft_model: str, model: Any = None) -> Plan:
    speculative = {"draft_model": draft_model, "max_tokens": 8}
    return await rig.pool.plan(model or rig.chat, LoadOptions(speculative=speculative))


def test_a_draft_model_is_loaded_with_its_model_and_counts(on_drafts: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        alone = await rig.pool.plan(rig.chat, LoadOptions())
        plan = await plan_with(rig, BASE_MODEL.lower())
        assert plan.fits
        assert plan.spec is not None and alone.spec is not None
        assert plan.spec.draft_path is not None
        assert BASE_MODEL in str(plan.spec.draft_path)
        assert plan.spec.file_bytes > alone.spec.file_bytes
        assert plan.memory.kv_cache_bytes > alone.memory.kv_cache_bytes
        assert not plan.spec.is_like(alone.spec)

    on_drafts(scenario)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (THIRD_MODEL, "token 7 is 'other', that of the model is 'e'"),
        ("nonexistent-model", "no model of that name"),
        ("Qwen2.5-0.5B-Instruct-Q8_0-GGUF", "is not downloaded"),
        (CHAT_MODEL, "has no MTP heads"),
    ],
)
def test_a_draft_that_does_not_fit_is_refused_by_name(on_drafts: PoolRunner, name: str, says: str) -> None:
    async def scenario(rig: Rig) -> None:
        plan = await plan_with(rig, name)
        assert isinstance(plan.refusal, DraftModelUnusable)
        assert (plan.refusal.param, name in plan.refusal.message) == ("speculative", True)
        assert says in str(plan.refusal.details)
        with pytest.raises(DraftModelUnusable):
            plan.raise_if_refused()

    on_drafts(scenario)


def test_a_model_that_names_itself_uses_its_own_heads(on_drafts: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        plan = await plan_with(rig, BASE_MODEL, rig.base)
        assert plan.fits
        assert plan.spec is not None
        assert plan.spec.draft_path is None

    on_drafts(scenario)


def test_the_logits_of_proposed_tokens_count(on_drafts: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        alone = await rig.pool.plan(rig.chat, LoadOptions(parallel=2))
        ngram = await rig.pool.plan(rig.chat, LoadOptions(parallel=2, speculative="ngram"))
        tokens = len(OTHER_TOKENS)
        more = ngram.memory.compute_bytes - alone.memory.compute_bytes
        assert more == 2 * drafts.NGRAM_DRAFT_TOKENS * tokens * 4

    on_drafts(scenario)


def test_service_and_worker_agree_on_the_tokens_of_ngram() -> None:
    assert drafts.NGRAM_DRAFT_TOKENS == parameters.NGRAM_DRAFT_TOKENS


def test_a_binary_without_speculative_decoding_is_refused() -> None:
    assert drafts.unsupported_by(frozenset(), "ngram") is None
    assert drafts.unsupported_by(frozenset({"--model"}), "off") is None
    assert drafts.unsupported_by(frozenset({"--spec-type"}), "ngram") is None
    assert drafts.unsupported_by(frozenset({"--model"}), "ngram") is not None
