"""A node that gets its models from the hub: a hub of the test, and the child process of a download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, SourceFile
from foundrylocal.engine.ray.node_models import NodeModels
from foundrylocal.engine.ray.orders import FileSet, FilesMode, NodeOrder
from foundrylocal.engine.replica import ModelFile, ReplicaSpec
from foundrylocal.errors import ChecksumMismatch
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes.gguf_corpus import tiny_keys, write_gguf
from tests.fakes.hub import FakeHub


def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bytes, content: bytes) -> ReplicaSpec:
    """Bring `content` onto a node whose hub has `published`."""
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    file = ModelFile("m.gguf", path, len(content), digest)
    with FakeHub() as hub:
        hub.add("me/repo", "q4/m.gguf", published)
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        source = HubSource("me/repo", None, (SourceFile("q4/m.gguf", None, None),))
        spec = ReplicaSpec("a/b#1", "a/b", path, None, 1, 1, EffectiveOptions(), files=(file,))
        order = NodeOrder(
            "1",
            "n",
            spec,
            60.0,
            FilesMode.HUB,
            (FileSet("a/b", (file,), hub=source),),
            hub_allowed_hosts=("localhost",),
        )

        async def main() -> ReplicaSpec:
            return await NodeModels(order, Library(tmp_path / "node"), lambda: None).bring(lambda share: None)

        return anyio.run(main)


def test_the_hub_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_gguf(tmp_path / "x.gguf").read_bytes()
    found = bring(tmp_path, monkeypatch, content, content)
    assert found.model_path.read_bytes() == content
    assert found.model_path.is_relative_to(tmp_path / "node")


def test_other_bytes_at_the_hub_are_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_gguf(tmp_path / "x.gguf").read_bytes()
    other = write_gguf(tmp_path / "y.gguf", tiny_keys(general__name="Other")).read_bytes()
    with pytest.raises(ChecksumMismatch) as mismatch:
        bring(tmp_path, monkeypatch, other, content)
    assert "m.gguf" in mismatch.value.message
    library = Library(tmp_path / "node")
    assert library.get("a/b") is None
    assert library.place("a/b").partial_bytes() == 0
