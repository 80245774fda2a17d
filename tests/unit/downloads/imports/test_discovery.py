"""Models of other programs: found where those keep them, each once, and never touched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from fakes.gguf_corpus import gguf, write_gguf, write_split
from foundrylocal.downloads.imports.discovery import find_content, find_existing


def found_in(home: Path, *folders: Path, **environment: str) -> dict[str, str]:
    return {model.name: model.store for model in find_existing(folders, environment, home)}


def hub_cache(root: Path) -> Path:
    blob = root / "models--me--repo" / "blobs" / ("a" * 64)
    snapshot = root / "models--me--repo" / "snapshots" / ("b" * 40)
    for folder in (blob.parent, snapshot):
        folder.mkdir(parents=True)
    write_gguf(blob)
    (snapshot / "tiny-Q4_K_M.gguf").symlink_to(blob)
    return blob


def ollama(root: Path, name: str = "smol") -> Path:
    data = gguf()
    digest = hashlib.sha256(data).hexdigest()
    blob = root / "blobs" / f"sha256-{digest}"
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / "135m"
    for folder in (blob.parent, manifest.parent):
        folder.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}]
    manifest.write_text(json.dumps({"layers": [{"mediaType": "other", "digest": "sha256:1"}, *layers]}))
    return blob


def test_the_stores_of_other_programs_are_found(tmp_path: Path) -> None:
    blob = hub_cache(tmp_path / ".cache" / "huggingface" / "hub")
    ollama(tmp_path / ".ollama" / "models")
    studio = tmp_path / ".lmstudio" / "models" / "you" / "other"
    studio.mkdir(parents=True)
    write_gguf(studio / "other-Q8_0.gguf")
    write_gguf(studio / "mmproj-other.gguf")
    assert found_in(tmp_path) == {
        "tiny-Q4_K_M": "hugging-face",
        "smol-135m": "ollama",
        "other-Q8_0": "lm-studio",
    }
    hub_model = next(model for model in find_existing((), {}, tmp_path) if model.store == "hugging-face")
    assert (hub_model.path, hub_model.quantization) == (blob, "Q4_K_M")


def test_a_model_is_offered_with_its_projector(tmp_path: Path) -> None:
    blob = hub_cache(tmp_path / ".cache" / "huggingface" / "hub")
    projector = blob.with_name("c" * 64)
    write_gguf(projector)
    (snapshot,) = (blob.parent.parent / "snapshots").iterdir()
    (snapshot / "mmproj-F16.gguf").symlink_to(projector)
    theirs = ollama(tmp_path / ".ollama" / "models")
    digest = hashlib.sha256(b"eyes").hexdigest()
    theirs.with_name(f"sha256-{digest}").write_bytes(b"eyes")
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/smol/135m"
    document = json.loads(manifest.read_text())
    layer = {"mediaType": "application/vnd.ollama.image.projector", "digest": f"sha256:{digest}"}
    manifest.write_text(json.dumps({"layers": [*document["layers"], layer]}))
    assert {model.store: model.projector_path for model in find_existing((), {}, tmp_path)} == {
        "hugging-face": projector,
        "ollama": theirs.with_name(f"sha256-{digest}"),
    }


def test_the_places_that_the_environment_names_are_used(tmp_path: Path) -> None:
    hub_cache(tmp_path / "elsewhere")
    ollama(tmp_path / "blobs of ollama")
    places = {"HF_HUB_CACHE": str(tmp_path / "elsewhere"), "OLLAMA_MODELS": str(tmp_path / "blobs of ollama")}
    assert set(found_in(tmp_path, **places).values()) == {"hugging-face", "ollama"}


def test_a_split_model_is_found_once_and_a_file_with_two_names_too(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write_split(folder, "big", 3)
    os.link(write_gguf(folder / "one.gguf"), folder / "two.gguf")
    assert found_in(tmp_path, folder) == {"big": "folder", "one": "folder"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": 5}', '{"layers": [5]}', "[" * 10_000, "\x00"])
def test_a_manifest_that_cannot_be_read_is_passed_over(tmp_path: Path, text: str) -> None:
    ollama(tmp_path / ".ollama" / "models")
    (tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/smol/bad").write_text(text)
    assert found_in(tmp_path) == {"smol-135m": "ollama"}


def test_a_digest_that_points_elsewhere_finds_nothing(tmp_path: Path) -> None:
    write_gguf(tmp_path / "secret.gguf")
    ollama(tmp_path / ".ollama" / "models")
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/smol/135m"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "../../../secret.gguf"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    assert found_in(tmp_path) == {}


def test_who_has_no_home_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert find_existing((), {}) == []
    assert list(find_content("0" * 64, {})) == []


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "a.gguf").symlink_to(folder / "a.gguf")
    assert found_in(tmp_path, folder) == {}
