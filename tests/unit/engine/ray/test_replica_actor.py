"""The actor of a replica: it refuses orders of another version, and its process is prepared for an engine."""

from __future__ import annotations

import json
import os
import queue
from pathlib import Path

import anyio
import pytest

import foundrylocal
from foundrylocal.engine.ray.orders import NodeOrder
from foundrylocal.engine.ray.replica import ReplicaActor, prepare_process
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.wire.load_options import EffectiveOptions


def order() -> NodeOrder:
    spec = ReplicaSpec("a/b#1", "a/b", Path("/m"), None, 1, 1, EffectiveOptions())
    return NodeOrder(foundrylocal.__version__, "127.0.1.2", spec, 60.0, log_level="WARNING")


@pytest.mark.parametrize("text", ['{"version": "0.0.1", "spec": "of another shape"}', "{}"])
def test_an_order_of_another_version_is_refused_whatever_is_in_it(text: str) -> None:
    actor = ReplicaActor(
        leave=lambda code: None
    )  # the real one would end the process of the tests a minute later
    answer = anyio.run(actor.begin, text)
    version = json.loads(text).get("version")
    assert answer["refusal"] == (
        f"It runs FoundryLocal {foundrylocal.__version__}, and the service {version}. "
        "Install the same version on both."
    )


def test_an_actor_that_gets_no_order_ends() -> None:
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    ReplicaActor(leave=codes.put, begin_timeout_s=0.01)
    assert codes.get(timeout=10) == 0


@pytest.mark.parametrize(("gpus", "expected"), [("", None), ("0,1", "0,1")])
def test_the_engine_chooses_threads_and_gpus_as_it_does_without_ray(
    monkeypatch: pytest.MonkeyPatch, gpus: str, expected: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    prepare_process(order())
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected
