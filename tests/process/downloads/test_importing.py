"""Models that the user brings: from this machine by copy, move or link, and from the hub by reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fakes.gguf_corpus import gguf, tiny_keys, write_gguf, write_split
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Registry
from foundrylocal.downloads import hub_queries
from foundrylocal.downloads.importing import How, Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.downloads.verification import verify
from foundrylocal.errors import DownloadFailed, FoundryLocalError, InvalidRequest, ModelNotFound

from .conftest import Running, fake_hub_hosts

pytestmark = pytest.mark.anyio

QUICK = {HubSource: HuggingFaceFetcher(allowed_hosts=fake_hub_hosts, stall_s=2.0, first_delay_s=0.01)}


@pytest.fixture
def registry() -> Registry:
    return Registry()


def importer(manager: DownloadManager, registry: Registry) -> Importer:
    return Importer(registry, manager.imported)


@pytest.fixture
def running_with(running: Running, registry: Registry) -> Any:
    return lambda: running(registry=registry, fetchers=QUICK)


@pytest.mark.parametrize("how", ["copy", "move", "link"])
async def test_a_file_comes_in_by_copy_move_or_link(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path, how: How
) -> None:
    original = write_gguf(tmp_path / "My Model (v1).Q4_K_M.gguf")
    data = original.read_bytes()
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original), how=how)
        assert model.simple_name == "My-Model-v1-.Q4_K_M"
        assert (model.quantization, model.context_length, model.capabilities) == ("Q4_K_M", 2048, ("chat",))
        done = await manager.fetch(registry.find("local/My-Model-v1-.Q4_K_M")).result()
        assert done.file_size_bytes == len(data)
        stored = library.check(model)
        assert stored is not None
        assert stored.model_path.read_bytes() == data
        assert original.exists() == (how != "move")
        assert (stored.model_path == original) == (how == "link")
        freed = await manager.delete(model)
        assert freed == (0 if how == "link" else len(data))
        assert original.exists() == (how != "move")
        with pytest.raises(ModelNotFound):
            registry.find(model.simple_name)


async def test_a_split_model_with_a_projector_comes_in_from_its_folder(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    write_split(folder, "m-Q8_0", 3)
    write_gguf(folder / "mmproj-m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(folder), name="Mine")
        await manager.fetch(model).result()
    stored = library.check(model)
    assert stored is not None
    assert stored.model_path.name == "m-Q8_0-00001-of-00003.gguf"
    assert stored.projector_path is not None
    assert len(stored.files) == 4
    assert model.capabilities[-1] == "vision"


async def test_any_part_of_a_split_model_names_it(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    last = write_split(tmp_path, "m", 2)[-1]
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(last))
    assert len(model.sources[0].files) == 2


async def test_an_import_is_known_after_a_restart(
    running: Running, registry: Registry, library: Library, tmp_path: Path
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    async with running(registry=registry) as manager:
        model = await importer(manager, registry).from_path(str(original))
        await manager.fetch(model).result()
    again = Registry()
    async with running(registry=again):
        assert again.find("m") == model
        assert library.get(model.model_id) is not None


@pytest.mark.parametrize("text", ["", "\x00", "{}", '{"models": [{}]}', "[]"])
async def test_a_list_of_imports_that_cannot_be_read_is_set_aside(
    running: Running, registry: Registry, tmp_path: Path, text: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "imported.json").write_text(text)
    async with running(registry=registry):
        assert list(registry.all()) == []
    assert [path.name for path in state.glob("imported.json.corrupt-*")]


@pytest.mark.parametrize(
    "spoil", ["missing", "relative", "no gguf", "half", "empty folder", "two", "projector", "name", "device"]
)
async def test_what_cannot_be_imported_is_refused_and_leaves_nothing(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path, spoil: str
) -> None:
    path, name = tmp_path / "m.gguf", None
    match spoil:
        case "relative":
            path = Path("m.gguf")
        case "no gguf":
            path.write_text("hello")
        case "half":
            write_split(tmp_path, "m", 2)[1].unlink()
            path = tmp_path / "m-00001-of-00002.gguf"
        case "empty folder":
            path.mkdir()
        case "two":
            write_gguf(tmp_path / "a.gguf")
            write_gguf(tmp_path / "b.gguf")
            path = tmp_path
        case "projector":
            write_gguf(path, tiny_keys(general__type="adapter"))
        case "name":
            write_gguf(path)
            name = "../../evil"
        case "device":
            path = Path("/dev/zero")
    async with running_with() as manager:
        with pytest.raises(InvalidRequest):
            await importer(manager, registry).from_path(str(path), name=name)
    assert list(registry.all()) == []
    assert library.all() == []


async def test_a_file_that_goes_away_ends_the_import_in_words(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original))
        original.unlink()
        with pytest.raises(DownloadFailed) as caught:
            await manager.fetch(model).result()
    assert "not there any more" in str(caught.value.details)
    assert list(registry.all()) == []


async def test_a_model_of_the_hub_comes_by_reference(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    small, big = gguf() + os.urandom(1000), gguf() + os.urandom(2000)
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", small)
    hub.add("me/Tiny-GGUF", "tiny-Q8_0.gguf", big)
    async with running_with() as manager:
        bring = importer(manager, registry)
        usual = await bring.from_hub("me/Tiny-GGUF")
        other = await bring.from_hub("hf.co/me/Tiny-GGUF:q8_0")
        assert (usual.simple_name, other.model_id) == ("Tiny-Q4_K_M-GGUF", "me/Tiny-Q8_0-GGUF")
        assert usual.license == "apache-2.0"
        assert await bring.from_hub("me/Tiny-GGUF:tiny-Q4_K_M.gguf") == usual
        await manager.fetch(other).result()
        stored = library.check(other)
        assert stored is not None
        assert stored.model_path.read_bytes() == big
        with pytest.raises(ModelNotFound) as caught:
            await bring.from_hub("me/Tiny-GGUF:Q2_K")
        assert "Q4_K_M" in str(caught.value.details)


@pytest.mark.parametrize(
    "reference", ["", "tiny", "a/b/c", "../..", "https://evil.example/a/b", "a b/c", "me/none"]
)
async def test_a_reference_that_is_none_is_refused(
    hub: FakeHub, running_with: Any, registry: Registry, reference: str
) -> None:
    async with running_with() as manager:
        with pytest.raises(FoundryLocalError) as caught:
            await importer(manager, registry).from_hub(reference)
    assert isinstance(caught.value, InvalidRequest) != (reference == "me/none")
    assert list(registry.all()) == []


async def test_an_answer_of_any_length_arrives_whole(hub: FakeHub) -> None:
    data = gguf()
    for number in range(hub_queries.MAX_RESULTS):
        for kind in range(25):
            hub.add(f"me/Tiny-{number}-GGUF", f"{'long-' * 30}{kind}/tiny-Q{kind}_K.gguf", data)
    found = await hub_queries.search("tiny", limit=hub_queries.MAX_RESULTS)
    assert [len(one.choices) for one in found] == [25] * hub_queries.MAX_RESULTS


async def test_a_repository_of_thousands_of_files_arrives_whole(hub: FakeHub) -> None:
    data = gguf()
    for number in range(3000):
        hub.add("me/Many-GGUF", f"{number:04}-Q4_K_M.gguf", data)
    hub.repos["me/Many-GGUF"].license = "x" * 100_000
    found = await hub_queries.look_up("me/Many-GGUF")
    assert len([file for choice in found.choices for file in choice.files]) == 3000
    assert found.license is None


async def test_a_search_lists_repositories_with_what_they_hold(hub: FakeHub) -> None:
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf())
    hub.add("you/Other-GGUF", "other-Q8_0.gguf", gguf())
    (found,) = await hub_queries.search("tiny")
    assert (found.repo, found.license, found.is_gated) == ("me/Tiny-GGUF", "apache-2.0", False)
    assert [choice.quantization for choice in found.choices] == ["Q4_K_M"]
    assert found.choices[0].size_bytes == len(gguf())
    with pytest.raises(InvalidRequest):
        await hub_queries.search("tiny", limit=0)


async def test_a_damaged_model_is_named_and_repaired_by_what_is_wrong_only(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    model_data, projector = gguf() + os.urandom(3_000_000), gguf() + os.urandom(2_000_000)
    hub.add("me/See-GGUF", "see-Q4_K_M.gguf", model_data)
    hub.add("me/See-GGUF", "mmproj-F16.gguf", projector)
    async with running_with() as manager:
        model = await importer(manager, registry).from_hub("me/See-GGUF")
        await manager.fetch(model).result()
        stored = library.get(model.model_id)
        assert stored is not None
        assert (await verify(library, model)).is_sound
        found = stored.model_path.stat()
        with stored.model_path.open("r+b") as file:
            file.seek(2_000_000)
            file.write(b"damage")
        os.utime(stored.model_path, ns=(found.st_mtime_ns, found.st_mtime_ns))
        verdict = await verify(library, model)
        assert {file.name: file.problem is None for file in verdict.files} == {
            "see-Q4_K_M.gguf": False,
            "mmproj-F16.gguf": True,
        }
        assert verdict.can_repair
        before = hub.sent_bytes
        await (await manager.repair(model)).result()
        assert hub.sent_bytes - before == len(model_data)
        assert (await verify(library, model)).is_sound


async def test_a_copied_cache_is_listed_again_after_a_verify(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf())
    async with running_with() as manager:
        model = await importer(manager, registry).from_hub("me/Tiny-GGUF")
        await manager.fetch(model).result()
        stored = library.get(model.model_id)
        assert stored is not None
        os.utime(stored.model_path)
        assert library.get(model.model_id) is None
        assert (await verify(library, model)).is_sound
        assert library.get(model.model_id) is not None


async def test_content_that_is_there_already_is_not_fetched_again(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    data = gguf() + os.urandom(1_000_000)
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", data)
    hub.add("you/Same-GGUF", "same-Q4_K_M.gguf", data)
    async with running_with() as manager:
        bring = importer(manager, registry)
        first = await bring.from_hub("me/Tiny-GGUF")
        assert await bring.from_hub("you/Same-GGUF") == first
        await manager.fetch(first).result()
        source = HubSource("you/Same-GGUF", None, first.sources[0].files)
        second = type(first)("you/Same", "Same", None, None, None, None, None, (), (source,))
        registry.add(second)
        before = hub.sent_bytes
        await manager.fetch(second).result()
        assert hub.sent_bytes == before
        assert await manager.delete(first) == 0
        assert library.check(second) is not None
        assert await manager.delete(second) == len(data)
