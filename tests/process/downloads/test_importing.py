"""Models that the user brings: from this machine by copy, move or link, and from the hub by reference."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from fakes.gguf_corpus import gguf, tiny_keys, write_adapter, write_gguf, write_split
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Registry, parse_model, render_model
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.imports.entries import Mode
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.errors import (
    DownloadFailed,
    FoundryLocalError,
    InvalidRequest,
    ModelInUse,
    ModelNotFound,
    ModelNotOnDisk,
)
from foundrylocal.events import Progress

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


@pytest.mark.parametrize("mode", ["copy", "move", "link"])
async def test_a_file_comes_in_by_copy_move_or_link(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path, mode: Mode
) -> None:
    original = write_gguf(tmp_path / "My Model (v1).Q4_K_M.gguf")
    data = original.read_bytes()
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original), mode=mode)
        assert model.simple_name == "My-Model-v1-.Q4_K_M"
        assert (model.quantization, model.context_length, model.capabilities) == ("Q4_K_M", 2048, ("chat",))
        done = await manager.fetch(registry.find("local/My-Model-v1-.Q4_K_M")).result()
        assert done.file_size_bytes == len(data)
        stored = library.check(model)
        assert stored is not None
        assert stored.model_path.read_bytes() == data
        assert original.exists() == (mode != "move")
        assert (stored.model_path == original) == (mode == "link")
        freed = await manager.delete(model)
        assert freed == (0 if mode == "link" else len(data))
        assert original.exists() == (mode != "move")
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


async def test_one_entry_that_is_no_model_does_not_take_the_others_with_it(
    running: Running, registry: Registry, tmp_path: Path
) -> None:
    async with running(registry=registry) as manager:
        for name in ("good", "bad"):
            await importer(manager, registry).from_path(str(write_gguf(tmp_path / f"{name}.gguf")))
    path = tmp_path / "state" / "imported.json"
    document = json.loads(path.read_bytes())
    document["models"][1]["sources"][0]["files"][0]["size_bytes"] = "many"
    path.write_text(json.dumps(document))
    for _ in range(2):
        again = Registry()
        async with running(registry=again):
            assert [model.simple_name for model in again.all()] == ["good"]
    assert len(list(path.parent.glob("imported.json.corrupt-*"))) == 1


@pytest.mark.parametrize("change", [{"etag": 5}, {"etag": "00"}, {"size": -1}, {"size": "5"}, {"size": 1.5}])
async def test_a_hub_that_answers_with_other_types_is_none(
    hub: FakeHub, running_with: Any, registry: Registry, change: dict[str, Any]
) -> None:
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf())
    files = hub.repos["me/Tiny-GGUF"].files
    files["tiny-Q4_K_M.gguf"] = replace(files["tiny-Q4_K_M.gguf"], **change)
    async with running_with() as manager:
        with pytest.raises(DownloadFailed) as caught:
            await importer(manager, registry).from_hub("me/Tiny-GGUF")
    assert caught.value.details == "The hub returned an invalid response. Check HF_ENDPOINT if it is set."
    assert list(registry.all()) == []


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
            write_gguf(path, tiny_keys(general__type="mmproj"))
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


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"general__type": "adapter"}, "LoRA adapter"),
        ({"general__type": "mmproj"}, "vision projector"),
        ({"general__architecture": "clip"}, "vision projector"),
        ({"general__type": "imatrix", "general__architecture": None}, "importance matrix"),
        ({"general__architecture": "eagle3"}, "draft model"),
        ({"general__architecture": "qwen3-mtp"}, "multi-token prediction head"),
    ],
)
async def test_a_file_that_is_no_model_by_its_header_is_never_taken_for_one(
    hub: FakeHub,
    running_with: Any,
    registry: Registry,
    library: Library,
    tmp_path: Path,
    keys: Any,
    what: str,
) -> None:
    keys = {name: value for name, value in tiny_keys(**keys).items() if value is not None}
    path = write_gguf(tmp_path / "Model-Q4_K_M.gguf", keys)
    hub.add("me/Odd-GGUF", "Model-Q4_K_M.gguf", path.read_bytes())
    async with running_with() as manager:
        bring = importer(manager, registry)
        for where in (path, tmp_path) if what != "LoRA adapter" else ():  # those are imported as adapters
            with pytest.raises(InvalidRequest) as caught:
                await bring.from_path(str(where))
            assert what in str(caught.value.details)
        if what != "vision projector":
            model = await bring.from_hub("me/Odd-GGUF")
            with pytest.raises(DownloadFailed) as failed:
                await manager.fetch(model).result()
            assert what in str(failed.value.details)
    assert library.all() == []


@pytest.mark.parametrize("name", ["imatrix", "m-lora-f16", "mmproj-F16", "mtp-m-Q4_0"])
async def test_a_file_that_is_no_model_by_its_name_is_not_imported_from_its_path(
    running_with: Any, registry: Registry, tmp_path: Path, name: str
) -> None:
    path = write_gguf(tmp_path / f"{name}.gguf")
    async with running_with() as manager:
        with pytest.raises(InvalidRequest) as caught:
            await importer(manager, registry).from_path(str(path))
    assert "By its name" in str(caught.value.details)
    assert list(registry.all()) == []


async def test_an_adapter_is_imported_as_one_from_its_path_and_from_the_hub(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    path = write_adapter(tmp_path / "tone-lora-f16.gguf")
    write_gguf(tmp_path / "mmproj-F16.gguf", tiny_keys(general__type="mmproj"))  # not the adapter's
    hub.add("me/Tone-GGUF", "tone-lora-f16.gguf", path.read_bytes())
    async with running_with() as manager:
        bring = importer(manager, registry)
        own = await bring.from_path(str(path), name="own")
        hubs = await bring.from_hub("me/Tone-GGUF:tone-lora-f16.gguf", name="hubs")
        for model in (own, hubs):
            await manager.fetch(model).result()
            assert (model.is_adapter, model.capabilities, len(model.sources[0].files)) == (True, (), 1)
            assert parse_model(render_model(model)) == model
    assert len(library.all()) == 2


async def test_a_draft_model_is_imported_from_its_path(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m-Q4_0.gguf")
    path = write_gguf(tmp_path / "m-draft-Q4_0.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(path))
    assert model.simple_name == "m-draft-Q4_0"


async def test_files_that_belong_to_a_model_are_passed_over_in_a_folder(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    for name in ("imatrix", "m-lora-f16", "m-draft-Q4_0", "mtp-m-Q4_0", "mmproj-F16", "m-Q4_K_M"):
        write_gguf(tmp_path / f"{name}.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(tmp_path))
    assert [Path(file.path).stem for file in model.sources[0].files] == ["m-Q4_K_M", "mmproj-F16"]


@pytest.mark.parametrize(
    ("removed", "named", "missing"),
    [
        ([1], "m-00001-of-00002.gguf", "part 1 of 2 is missing"),
        ([2], "m-00001-of-00002.gguf", "part 2 of 2 is missing"),
        ([1], "m-00002-of-00002.gguf", "part 1 of 2 is missing"),
        ([2], "", "part 2 of 2 is missing"),
    ],
)
async def test_half_a_split_on_this_machine_says_what_is_missing(
    running_with: Any, registry: Registry, tmp_path: Path, removed: list[int], named: str, missing: str
) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    parts = write_split(folder, "m", 2)
    for number in removed:
        parts[number - 1].unlink()
    async with running_with() as manager:
        with pytest.raises(InvalidRequest) as caught:
            await importer(manager, registry).from_path(str(folder / named))
    assert missing in str(caught.value.details)


async def test_half_a_split_on_the_hub_says_what_is_missing(
    hub: FakeHub, running_with: Any, registry: Registry
) -> None:
    hub.add("me/Big-GGUF", "Q8_0/big-00002-of-00003.gguf", gguf())
    hub.add("me/Big-GGUF", "imatrix.gguf", gguf())
    async with running_with() as manager:
        bring = importer(manager, registry)
        for reference in ("me/Big-GGUF", "me/Big-GGUF:Q8_0"):
            with pytest.raises(InvalidRequest) as caught:
                await bring.from_hub(reference)
            assert "parts 1 and 3 of 3" in str(caught.value.details)
        with pytest.raises(InvalidRequest) as caught:
            await bring.from_hub("me/Big-GGUF:imatrix.gguf")
        assert "importance matrix" in str(caught.value.details)


async def test_an_import_says_nothing_of_what_is_in_a_file(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "id_rsa"
    async with running_with() as manager:
        for content in (b"SECR" * 100, b"xyz", b"GGU" + b"F0123456789" * 99, "ЖЖ".encode() * 99):
            path.write_bytes(content)
            with pytest.raises(InvalidRequest) as caught:
                await importer(manager, registry).from_path(str(path))
            told = f"{caught.value.message} {caught.value.details}".replace("GGUF", "")
            assert not {content[at : at + 4].decode("latin-1") for at in range(len(content) - 4)} & {
                told[at : at + 4] for at in range(len(told))
            }


async def test_a_file_that_goes_away_ends_the_import_in_words(
    running_with: Any, registry: Registry, tmp_path: Path
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original))
        original.unlink()
        with pytest.raises(DownloadFailed) as caught:
            await manager.fetch(model).result()
    assert "no longer exists" in str(caught.value.details)
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
        assert (await manager.verify(model)).is_sound
        found = stored.model_path.stat()
        with stored.model_path.open("r+b") as file:
            file.seek(2_000_000)
            file.write(b"damage")
        os.utime(stored.model_path, ns=(found.st_mtime_ns, found.st_mtime_ns))
        verdict = await manager.verify(model)
        assert {file.name: file.problem is None for file in verdict.files} == {
            "see-Q4_K_M.gguf": False,
            "mmproj-F16.gguf": True,
        }
        assert verdict.can_repair
        before = hub.sent_bytes
        await (await manager.repair(model)).result()
        assert hub.sent_bytes - before == len(model_data)
        assert (await manager.verify(model)).is_sound


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
        assert (await manager.verify(model)).is_sound
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


def damage(path: Path) -> None:
    """Change a byte behind the manifest's back: size and time stay."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(found.st_size - 1)
        file.write(b"!")
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))


async def test_a_model_that_no_source_can_deliver_again_is_not_taken_apart(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    write_gguf(folder / "m.gguf")
    write_gguf(folder / "mmproj-m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(folder), mode="move")
        await manager.fetch(model).result()
        stored = library.get(model.model_id)
        assert stored is not None
        damage(stored.model_path)
        before = {path.name: path.read_bytes() for path in stored.folder.iterdir()}
        assert not (await manager.verify(model)).can_repair
        with pytest.raises(InvalidRequest) as caught:
            await manager.repair(model)
        assert "import it again" in str(caught.value.details)
        assert {path.name: path.read_bytes() for path in stored.folder.iterdir()} == before
        assert registry.find(model.simple_name) == model


async def test_a_model_is_repaired_from_the_file_that_it_was_copied_from(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    original = write_gguf(folder / "m.gguf")
    write_gguf(folder / "mmproj-m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(folder))
        await manager.fetch(model).result()
        stored = library.get(model.model_id)
        assert stored is not None
        kept = stored.folder / "mmproj-m.gguf"
        inode = kept.stat().st_ino
        damage(stored.model_path)
        await (await manager.repair(model)).result()
        assert (await manager.verify(model)).is_sound
        assert kept.stat().st_ino == inode
        damage(stored.model_path)
        original.write_bytes(original.read_bytes()[:-1] + b"?")
        with pytest.raises(InvalidRequest):
            await manager.repair(model)


async def test_a_repair_that_was_cancelled_keeps_what_was_right_and_goes_on(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.truncate(write_gguf(folder / "m.gguf"), 256 * 1024 * 1024)
    write_gguf(folder / "mmproj-m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(folder))
        await manager.fetch(model).result()
        stored = library.get(model.model_id)
        assert stored is not None
        inode = (stored.folder / "mmproj-m.gguf").stat().st_ino
        damage(stored.model_path)
        await manager.repair(model)
        arriving = library.place(model.model_id).partial / "m.gguf"
        with anyio.fail_after(30):
            while not (arriving.exists() and arriving.stat().st_size):  # noqa: ASYNC110 - a file tells nobody
                await anyio.sleep(0.002)
        assert await manager.cancel(model.model_id)
        assert library.get(model.model_id) is None
        await manager.fetch(registry.find(model.simple_name)).result()
        assert (await manager.verify(model)).is_sound
        assert (stored.folder / "mmproj-m.gguf").stat().st_ino == inode


async def test_a_link_is_not_moved(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    blob = write_gguf(tmp_path / "blob")
    (tmp_path / "m.gguf").symlink_to(blob)
    async with running_with() as manager:
        with pytest.raises(InvalidRequest) as caught:
            await importer(manager, registry).from_path(str(tmp_path / "m.gguf"), mode="move")
        assert caught.value.param == "mode"
        assert list(registry.all()) == []
        model = await importer(manager, registry).from_path(str(tmp_path / "m.gguf"), mode="copy")
        await manager.fetch(model).result()
    assert (tmp_path / "m.gguf").is_symlink()
    assert library.check(model) is not None


async def test_a_file_that_became_a_link_before_it_was_moved_is_left(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original), mode="move")
        original.rename(tmp_path / "blob")
        original.symlink_to(tmp_path / "blob")
        with pytest.raises(DownloadFailed):
            await manager.fetch(model).result()
    assert original.is_symlink() and (tmp_path / "blob").exists()
    assert library.all() == []


async def test_a_cancelled_import_leaves_nothing(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    os.truncate(original, 512 * 1024 * 1024)
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(original))
        operation = manager.fetch(model)
        with operation.watch() as events:
            async for event in events:
                if isinstance(event, Progress) and event.measure and event.measure.downloaded_bytes:
                    break
        assert await manager.cancel(model.model_id)
        assert not library.place(model.model_id).partial.exists()
        with pytest.raises(ModelNotFound):
            registry.find(model.simple_name)


async def test_what_is_left_of_an_unfinished_download_can_be_deleted(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf() + os.urandom(4_000_000))
    hub.storage_faults.append("pause:3000000")
    async with running_with() as manager:
        model = await importer(manager, registry).from_hub("me/Tiny-GGUF")
        operation = manager.fetch(model)
        with operation.watch() as events:
            async for event in events:
                if isinstance(event, Progress) and event.measure and event.measure.downloaded_bytes:
                    break
        with pytest.raises(ModelInUse):
            await manager.delete(model)
        await manager.cancel(model.model_id)
        assert await manager.delete(model) > 0
        assert not library.place(model.model_id).partial.exists()
        with pytest.raises(ModelNotOnDisk):
            await manager.delete(model)


def gguf_of_projector() -> bytes:
    return gguf(tiny_keys(general__architecture="clip", general__type="mmproj"))


async def test_a_repair_does_not_take_the_damaged_bytes_from_another_name_of_them(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    data = gguf() + os.urandom(1_000_000)
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", data)
    hub.add("you/Same-GGUF", "same-Q4_K_M.gguf", data)
    async with running_with() as manager:
        first = await importer(manager, registry).from_hub("me/Tiny-GGUF")
        source = HubSource("you/Same-GGUF", None, first.sources[0].files)
        second = replace(first, model_id="you/Same", simple_name="Same", sources=(source,))
        registry.add(second)
        for model in (first, second):
            await manager.fetch(model).result()
        stored = library.get(first.model_id)
        assert stored is not None and stored.model_path.stat().st_nlink == 2
        damage(stored.model_path)
        await (await manager.repair(first)).result()
        assert (await manager.verify(first)).is_sound
        before = hub.sent_bytes
        await (await manager.repair(second)).result()
        assert (await manager.verify(second)).is_sound
        assert hub.sent_bytes == before


@pytest.mark.parametrize("mode", ["copy", "move"])
async def test_one_file_under_two_names_is_stored_once(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path, mode: Mode
) -> None:
    original = write_gguf(tmp_path / "m.gguf")
    size = original.stat().st_size
    async with running_with() as manager:
        bring = importer(manager, registry)
        first = await bring.from_path(str(original), name="one")
        await manager.fetch(first).result()
        second = await bring.from_path(str(original), name="two", mode=mode)
        await manager.fetch(second).result()
        assert original.exists() == (mode == "copy")
        inodes = {stored.model_path.stat().st_ino for stored in library.all()}
        assert len(inodes) == 1
        assert await manager.delete(first) == 0
        assert await manager.delete(second) == size


async def test_a_projector_of_two_quantizations_is_fetched_once(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library
) -> None:
    models = [gguf() + os.urandom(1_000_000 + more) for more in (0, 1)]
    projector = gguf_of_projector() + os.urandom(2_000_000)
    hub.add("me/See-GGUF", "see-Q4_K_M.gguf", models[0])
    hub.add("me/See-GGUF", "see-Q8_0.gguf", models[1])
    hub.add("me/See-GGUF", "mmproj-F16.gguf", projector)
    async with running_with() as manager:
        for quantization in ("Q4_K_M", "Q8_0"):
            model = await importer(manager, registry).from_hub(f"me/See-GGUF:{quantization}")
            await manager.fetch(model).result()
        assert hub.sent_bytes == len(models[0]) + len(models[1]) + len(projector)
        paths = [stored.projector_path for stored in library.all()]
        assert len({path.stat().st_ino for path in paths if path is not None}) == 1


async def test_a_file_that_is_linked_to_is_used_for_a_download_too(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    data = gguf() + os.urandom(1_000_000)
    (tmp_path / "theirs.gguf").write_bytes(data)
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", data)
    async with running_with() as manager:
        bring = importer(manager, registry)
        await manager.fetch(await bring.from_path(str(tmp_path / "theirs.gguf"), mode="link")).result()
        model = await bring.from_hub("me/Tiny-GGUF")
        await manager.fetch(model).result()
        stored = library.check(model)
        assert stored is not None
        assert (stored.model_path, hub.sent_bytes) == (tmp_path / "theirs.gguf", 0)
        assert await manager.delete(model) == 0
        damage(tmp_path / "theirs.gguf")
        await manager.fetch(await bring.from_hub("me/Tiny-GGUF")).result()
        assert hub.sent_bytes == len(data)
    assert (tmp_path / "theirs.gguf").exists()


async def test_the_parts_of_a_split_model_are_not_linked_to_elsewhere(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    parts = write_split(tmp_path, "m-Q8_0", 3)
    for part in parts:
        hub.add("me/Split-GGUF", f"other-Q8_0{part.name.removeprefix('m-Q8_0')}", part.read_bytes())
    async with running_with() as manager:
        bring = importer(manager, registry)
        await manager.fetch(await bring.from_path(str(parts[0]), mode="link")).result()
        model = await bring.from_hub("me/Split-GGUF")
        await manager.fetch(model).result()
    stored = library.check(model)
    assert stored is not None
    assert not any(file.is_linked for file in stored.files)


@pytest.mark.parametrize("part", ["models/me", "partial/me"])
async def test_a_linked_folder_of_the_cache_is_not_written_through(
    hub: FakeHub, running_with: Any, registry: Registry, library: Library, tmp_path: Path, part: str
) -> None:
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = library.cache_dir / part
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    async with running_with() as manager:
        model = await importer(manager, registry).from_hub("me/Tiny-GGUF")
        with pytest.raises(DownloadFailed) as caught:
            await manager.fetch(model).result()
        assert "'me' in the cache folder is a link" in str(caught.value.details)
    assert (list(elsewhere.iterdir()), hub.sent_bytes) == ([], 0)


@pytest.mark.parametrize("store", ["hub", "ollama"])
@pytest.mark.parametrize("is_sound", [True, False])
async def test_what_another_program_fetched_is_linked_to_when_it_is_right(
    hub: FakeHub,
    running_with: Any,
    registry: Registry,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    is_sound: bool,
) -> None:
    data, projector = gguf() + os.urandom(1_000_000), gguf_of_projector()
    theirs = tmp_path / store
    monkeypatch.setenv("HF_HUB_CACHE", str(theirs))
    monkeypatch.setenv("OLLAMA_MODELS", str(theirs))
    blobs = theirs / ("models--x--y/blobs" if store == "hub" else "blobs")
    blobs.mkdir(parents=True)
    for name, content in (("see-Q4_K_M.gguf", data), ("mmproj-F16.gguf", projector)):
        sha256 = hub.add("me/See-GGUF", name, content)
        (blobs / (sha256 if store == "hub" else f"sha256-{sha256}")).write_bytes(content)
    if not is_sound:
        for blob in blobs.iterdir():
            damage(blob)
    before = {path.name: path.read_bytes() for path in blobs.iterdir()}
    async with running_with() as manager:
        model = await importer(manager, registry).from_hub("me/See-GGUF")
        await manager.fetch(model).result()
        stored = library.check(model)
        assert stored is not None and stored.projector_path is not None
        assert (stored.model_path.read_bytes(), stored.projector_path.read_bytes()) == (data, projector)
        assert hub.sent_bytes == (0 if is_sound else len(data) + len(projector))
        assert (stored.model_path.parent == blobs) == is_sound
        assert await manager.delete(model) == (0 if is_sound else len(data) + len(projector))
    assert {path.name: path.read_bytes() for path in blobs.iterdir()} == before


async def test_a_file_brings_the_one_projector_that_is_beside_it(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path
) -> None:
    for name in ("see-Q4_K_M.gguf", "see-Q8_0.gguf", "mmproj-see-F16.gguf"):
        write_gguf(tmp_path / name)
    async with running_with() as manager:
        model = await importer(manager, registry).from_path(str(tmp_path / "see-Q8_0.gguf"), mode="link")
        await manager.fetch(model).result()
        stored = library.check(model)
        assert stored is not None and stored.projector_path is not None
        assert (stored.model_path.name, stored.projector_path.name) == (
            "see-Q8_0.gguf",
            "mmproj-see-F16.gguf",
        )
        assert "vision" in model.capabilities
        write_gguf(tmp_path / "another-Q8_0.gguf")
        other = await importer(manager, registry).from_path(str(tmp_path / "another-Q8_0.gguf"))
        assert len(other.sources[0].files) == 1


@pytest.mark.parametrize("mode", ["copy", "link"])
async def test_a_projector_is_known_by_its_header_whatever_its_name(
    running_with: Any, registry: Registry, library: Library, tmp_path: Path, mode: Mode
) -> None:
    model_path, projector = tmp_path / "sha256-b", tmp_path / "sha256-a"
    write_gguf(model_path)
    projector.write_bytes(gguf_of_projector())
    async with running_with() as manager:
        bring = importer(manager, registry)
        for wrong in (str(model_path), "relative", str(tmp_path / "none")):
            with pytest.raises(InvalidRequest) as caught:
                await bring.from_path(str(model_path), projector_path=wrong)
            assert caught.value.param == "projector_path"
        model = await bring.from_path(str(model_path), mode=mode, projector_path=str(projector))
        await manager.fetch(model).result()
    stored = library.check(model)
    assert stored is not None and stored.projector_path is not None
    assert (stored.model_path.name, stored.projector_path.name) == ("sha256-b", "sha256-a")
