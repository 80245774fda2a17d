"""Models that the user brings: from a path of this machine, or from any repository of the hub.

Invariant: a model is added to the registry only after its files, or the hub's list of them, were looked at.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from foundrylocal.catalog import names
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_header, read_model
from foundrylocal.catalog.registry import HubSource, LocalSource, Model, Registry, SourceFile
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.hub.queries import HubRepository
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.lanes import LOOKING
from foundrylocal.downloads.quantization import Choice, pick, projector_among, quantization_of, stem_of
from foundrylocal.errors import InvalidRequest, ModelNotFound

How = Literal["copy", "move", "link"]
MAX_FILES_IN_FOLDER = 2000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,95}")
_REFERENCE = re.compile(
    r"(?:https?://huggingface\.co/|hf\.co/|hf://)?(?P<repo>[^:/]+/[^:/]+?)(?::(?P<what>.+))?/?"
)
_LATER_PART = re.compile(r"(.+)-[0-9]{5}(-of-[0-9]{5}\.gguf)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Found:
    """A model found at a path: its files in order, the projector last, and what its header says."""

    header: GgufHeader
    files: list[Path]
    has_projector: bool


class Importer:
    """Makes models known; fetching them is the manager's."""

    def __init__(self, registry: Registry, imported: ImportedModels) -> None:
        self._registry = registry
        self._imported = imported

    async def from_path(
        self, path: str, *, how: How = "copy", name: str | None = None, projector_path: str | None = None
    ) -> Model:
        """A model of a GGUF file, or of a folder that holds one, added to the registry.

        Raises InvalidRequest for a path that does not hold one sound model, a link that is to be moved, or a
        name that is taken, and DiskRefused. Its files come in with the manager's `fetch`.
        """
        found = await LOOKING.run(_look, path, projector_path)
        if how == "move":
            await LOOKING.run(_refuse_links, found.files)
        model = await LOOKING.run(_local_model, found, how, name)
        return await self._add(model)

    async def from_hub(
        self, reference: str, *, name: str | None = None, allowed_hosts: Sequence[str] = ()
    ) -> Model:
        """A model of a repository of the hub, added to the registry: `OWNER/REPO`, and `:` with what of it.

        What is a quantization or a file name; the usual quantization without one. One that is known already
        is returned as it is. Raises InvalidRequest, ModelNotFound, DownloadFailed or DiskRefused.
        """
        match = _REFERENCE.fullmatch(reference.strip())
        if match is None:
            raise InvalidRequest(
                "This is not a reference to the hub", "Write OWNER/REPO or OWNER/REPO:Q4_K_M."
            )
        repository = await hub_queries.look_up(match["repo"], allowed_hosts=allowed_hosts)
        choice = pick(repository.choices, match["what"])
        if choice is None:
            there = [choice.quantization or choice.files[0].path for choice in repository.choices]
            raise ModelNotFound(reference, there[:8])
        source = HubSource(repository.repo, repository.revision, choice.files)
        return self._known(source) or await self._add(
            _hub_model(repository, choice, source, name, self._registry)
        )

    def _known(self, source: HubSource) -> Model | None:
        wanted = [file.sha256 for file in source.files]
        if None in wanted:
            return None
        for model in self._registry.all():
            for known in model.sources:
                if isinstance(known, HubSource) and [file.sha256 for file in known.files] == wanted:
                    return model
        return None

    async def _add(self, model: Model) -> Model:
        try:
            await self._imported.add(model)
        except ValueError:
            raise InvalidRequest(
                f"A model '{model.simple_name}' exists already", "Give another name.", param="name"
            ) from None
        return model


def _look(text: str, projector_text: str | None) -> _Found:
    path = _absolute(text, "path")
    try:
        first, projector = _in_folder(path) if path.is_dir() else _beside(path)
        header, parts = read_model(first)
    except GgufInvalid as error:
        raise InvalidRequest("This is not a sound GGUF model", str(error), param="path") from None
    except FileNotFoundError:
        raise InvalidRequest(
            "There is no file at this path", "Name a GGUF file of this machine, or its folder.", param="path"
        ) from None
    except OSError as error:
        raise InvalidRequest("The path cannot be read", error.strerror, param="path") from None
    if header.is_projector or header.kind == "adapter":
        raise InvalidRequest("This GGUF is no model by itself", "It belongs to another one.", param="path")
    if projector_text is not None:
        projector = _checked_projector(projector_text)
    return _Found(header, [*parts, *([projector] if projector else [])], projector is not None)


def _absolute(text: str, param: str) -> Path:
    if not Path(text).is_absolute():
        raise InvalidRequest("The path must be absolute", "Write it from the root on.", param=param)
    return Path(text)


def _checked_projector(text: str) -> Path:
    """The projector that the caller names, whose header must say that it is one: its name may be a digest."""
    path = _absolute(text, "projector_path")
    try:
        if read_header(path).is_projector:
            return path
        reason: str | None = "It is another kind of GGUF file."
    except GgufInvalid as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror
    raise InvalidRequest("This is no projector", reason, param="projector_path")


def _beside(path: Path) -> tuple[Path, Path | None]:
    """The first file of the model that a path names, and its projector."""
    projector = None
    if path.suffix.lower() == ".gguf":
        with contextlib.suppress(OSError):
            projector = projector_among(islice(path.parent.iterdir(), MAX_FILES_IN_FOLDER))
    return _first_part(path), projector


def _refuse_links(files: list[Path]) -> None:
    """What a link points to has a place in somebody's store, such as the hub's cache, and is not ours to move."""
    link = next((path for path in files if path.is_symlink()), None)
    if link is not None:
        raise InvalidRequest(
            f"'{link.name}' is a link and cannot be moved",
            "Import it with mode copy, or with mode link to use the file where it is.",
            param="mode",
        )


def _first_part(path: Path) -> Path:
    found = _LATER_PART.fullmatch(path.name)
    return path.with_name(f"{found[1]}-00001{found[2]}") if found else path


def _in_folder(folder: Path) -> tuple[Path, Path | None]:
    """The first file of the one model in a folder, and its projector."""
    there = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf")[:MAX_FILES_IN_FOLDER]
    projectors = [path for path in there if names.is_projector(path.name)]
    firsts = sorted({_first_part(path) for path in there if path not in projectors})
    if len(firsts) != 1:
        details = (
            f"Name one file: {', '.join(path.name for path in firsts[:5])}"
            if firsts
            else "It needs one file *.gguf"
        )
        problem = "The folder holds several models" if firsts else "The folder holds no GGUF model"
        raise InvalidRequest(problem, details, param="path")
    return firsts[0], (projectors[0] if projectors else None)


def _local_model(found: _Found, how: How, name: str | None) -> Model:
    simple_name = _checked_name(name, stem_of(found.files[0].name))
    header = found.header
    files = tuple(SourceFile(str(path), path.stat().st_size, None) for path in found.files)
    return Model(
        model_id=f"local/{simple_name}",
        simple_name=simple_name,
        size=_size_label(header.parameter_count),
        quantization=header.quantization or quantization_of(found.files[0].name),
        family=header.architecture or None,
        license=None,
        context_length=header.context_length,
        capabilities=_capabilities(header, has_projector=found.has_projector),
        sources=(LocalSource(how, files),),
    )


def _hub_model(
    repository: HubRepository, choice: Choice, source: HubSource, name: str | None, registry: Registry
) -> Model:
    owner, _, repo_name = repository.repo.partition("/")
    base = re.sub(r"[-_.]gguf$", "", repo_name, flags=re.IGNORECASE)
    quantization = choice.quantization
    usual = "-".join(part for part in (base, quantization, "GGUF") if part)
    simple_name = _checked_name(name, usual)
    if name is None and _is_taken(simple_name, registry):
        simple_name = _checked_name(
            None, "-".join(part for part in (base, owner, quantization, "GGUF") if part)
        )
    has_projector = any(names.is_projector(file.path) for file in choice.files)
    return Model(
        model_id=f"{owner}/{simple_name}",
        simple_name=simple_name,
        size=None,
        quantization=quantization,
        family=None,
        license=repository.license,
        context_length=None,
        capabilities=("chat", "vision") if has_projector else ("chat",),
        sources=(source,),
    )


def _is_taken(name: str, registry: Registry) -> bool:
    try:
        registry.find(name)
    except ModelNotFound:
        return False
    return True


def _checked_name(name: str | None, otherwise: str) -> str:
    """The name that was given, which must be plain, or a plain one made of the file's."""
    if name is not None:
        if not _NAME.fullmatch(name):
            raise InvalidRequest("The name is not plain", "Letters, digits and . _ + - only.", param="name")
        return name
    made = re.sub(r"[^A-Za-z0-9._+-]+", "-", otherwise).strip("-._+")[:96]
    return made or "model"


def _size_label(parameter_count: int) -> str | None:
    """`135M`, `1.5B`: as the catalogue writes sizes."""
    if parameter_count < 1_000_000:
        return None
    if parameter_count < 1_000_000_000:
        return f"{round(parameter_count / 1e6)}M"
    return f"{parameter_count / 1e9:.1f}".removesuffix(".0") + "B"


def _capabilities(header: GgufHeader, *, has_projector: bool) -> tuple[str, ...]:
    if header.is_reranker:
        return ("rerank",)
    if header.is_embedding:
        return ("embedding",)
    chat = ("chat",) if header.has_chat_template else ()
    return (*chat, "vision") if has_projector else chat
