"""What a replica finds on its node: files in place, in a shared folder, from the service, or from the hub."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.ray.file_offers import FileOffers, offers_of
from foundrylocal.engine.ray.file_server import FileServer
from foundrylocal.engine.ray.node_models import NodeModels
from foundrylocal.engine.ray.orders import FileServerAddress, FileSet, FilesMode, NodeOrder
from foundrylocal.engine.replica import LoadedAdapter, ModelFile, ReplicaSpec
from foundrylocal.errors import DownloadFailed, ModelNotDownloaded
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes.gguf_corpus import write_gguf
from tests.running import BASE_MODEL, BASE_MODEL_ID, CHAT_MODEL_ID, store_tiny_model


def bring(
    order: NodeOrder, folder: Path, at: FileServerAddress | None = None
) -> tuple[ReplicaSpec, list[float]]:
    shares: list[float] = []

    async def main() -> ReplicaSpec:
        return await NodeModels(order, Library(folder / "node"), lambda: at).bring(shares.append)

    return anyio.run(main), shares


def stored_spec(home: Path) -> ReplicaSpec:
    """A replica of a model of the library, with a second one as its draft."""
    path, draft = store_tiny_model(home), store_tiny_model(home, BASE_MODEL)
    [stored] = [one for one in Library(home / "cache").all() if one.model_path == path]
    files = tuple(
        ModelFile(file.name, stored.folder / file.name, file.size_bytes, file.sha256) for file in stored.files
    )
    return ReplicaSpec(
        "x#1", CHAT_MODEL_ID, path, None, 1, 1, EffectiveOptions(), files=files, draft_path=draft
    )


def test_the_services_own_machine_uses_its_files_as_they_are(tmp_path: Path) -> None:
    spec = stored_spec(tmp_path)
    found, _ = bring(NodeOrder("1", "n", spec, 60.0, file_sets=None), tmp_path)
    assert found == spec


def test_a_draft_model_comes_along_and_every_path_is_that_of_the_node(tmp_path: Path) -> None:
    spec = stored_spec(tmp_path)
    sets = FileOffers(Library(tmp_path / "cache"), Registry.load()).sets_of(spec)
    assert [one.model_id for one in sets] == [CHAT_MODEL_ID, BASE_MODEL_ID]
    server = FileServer("127.0.0.1")
    server.offer(offers_of(sets))
    try:
        found, _ = bring(NodeOrder("1", "n", spec, 60.0, file_sets=sets), tmp_path, server.address)
    finally:
        server.close()
    assert found.draft_path is not None and found.draft_path.is_relative_to(tmp_path / "node")
    assert found.model_path.read_bytes() == spec.model_path.read_bytes()


def test_an_adapter_comes_along(tmp_path: Path) -> None:
    spec = stored_spec(tmp_path)
    assert spec.draft_path is not None
    adapter = LoadedAdapter(spec.draft_path, 0.5, 1)
    spec = replace(spec, draft_path=None, adapters=(adapter,))
    sets = FileOffers(Library(tmp_path / "cache"), Registry.load()).sets_of(spec)
    assert [one.model_id for one in sets] == [CHAT_MODEL_ID, BASE_MODEL_ID]


def test_a_linked_file_without_a_digest_is_hashed_and_its_name_is_made_plain(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "my model (1).gguf")
    file = ModelFile(path.name, path, path.stat().st_size, "")
    spec = replace(stored_spec(tmp_path), files=(file,), draft_path=None)
    [found] = FileOffers(Library(tmp_path / "cache"), Registry()).sets_of(spec)
    assert found.files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert " " not in found.files[0].name and found.files[0].path == path


def test_a_shared_folder_is_used_in_place(tmp_path: Path) -> None:
    spec = stored_spec(tmp_path)
    sets = (FileSet("x", spec.files),)
    order = NodeOrder("1", "n", spec, 60.0, FilesMode.PATH, sets)
    assert bring(order, tmp_path)[0] == spec


@pytest.mark.parametrize(("change", "words"), [("missing", "No such file"), ("short", "instead of")])
def test_a_folder_that_is_not_shared_is_one_clear_error(tmp_path: Path, change: str, words: str) -> None:
    spec = stored_spec(tmp_path)
    order = NodeOrder("1", "127.0.1.2", spec, 60.0, FilesMode.PATH, (FileSet("x", spec.files),))
    if change == "missing":
        spec.model_path.unlink()
    else:
        spec.model_path.write_bytes(b"GGUF")
    with pytest.raises(ModelNotDownloaded) as refused:
        bring(order, tmp_path)
    assert words in str(refused.value.details) and "cluster_files" in str(refused.value.details)


def test_a_model_that_is_not_on_the_hub_says_what_to_set(tmp_path: Path) -> None:
    spec = stored_spec(tmp_path)
    order = NodeOrder("1", "n", spec, 60.0, FilesMode.HUB, (FileSet("local/x", spec.files),))
    with pytest.raises(DownloadFailed) as refused:
        bring(order, tmp_path)
    assert "Set cluster_files to service or path" in str(refused.value.details)
