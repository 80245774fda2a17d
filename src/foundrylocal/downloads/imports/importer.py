"""Adds models that the user brings to the registry: from a path on this machine, or from a repository on the hub.

Invariant: a model is added only after its files, or the hub's list of them, were checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from foundrylocal.catalog.file_names import MAY_BE_WHOLE, FileKind, file_name, quantization_of
from foundrylocal.catalog.registry import HubSource, Model, Registry
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.hub.choices import Choice, pick, pick_incomplete
from foundrylocal.downloads.hub.queries import HubRepository
from foundrylocal.downloads.imports.entries import Mode, hub_model, local_model
from foundrylocal.downloads.imports.local_files import find_model, refuse_links
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.lanes import LOOKING
from foundrylocal.errors import InvalidRequest, ModelNotFound

MAX_NAMES_LISTED = 8
_REFERENCE = re.compile(
    r"(?:https?://huggingface\.co/|hf\.co/|hf://)?(?P<repo>[^:/]+/[^:/]+?)(?::(?P<wanted>.+))?/?"
)


class Importer:
    """Adds models to the registry; fetching them is the download manager's job."""

    def __init__(self, registry: Registry, imported: ImportedModels) -> None:
        self._registry = registry
        self._imported = imported

    async def from_path(
        self, path: str, *, mode: Mode = "copy", name: str | None = None, projector_path: str | None = None
    ) -> Model:
        """Add the model in a GGUF file, or in a folder that holds one; the manager's `fetch` brings its files in.

        Raises InvalidRequest for a path without exactly one sound model, a link that is to be moved, or a name
        that is taken; DiskRefused or InsufficientDiskSpace when the entry cannot be saved.
        """
        found = await LOOKING.run(find_model, path, projector_path)
        if mode == "move":
            await LOOKING.run(refuse_links, found.files)
        return await self._add(await LOOKING.run(local_model, found, mode, name))

    async def from_hub(
        self, reference: str, *, name: str | None = None, allowed_hosts: Sequence[str] = ()
    ) -> Model:
        """Add a model from the hub by `OWNER/REPO`, or `OWNER/REPO:WANTED` with a quantization or a file name.

        Without WANTED it is the most common quantization. A model that is already known is returned as it is.
        Raises InvalidRequest, ModelNotFound, DownloadFailed, DiskRefused or InsufficientDiskSpace.
        """
        match = _REFERENCE.fullmatch(reference.strip())
        if match is None:
            raise InvalidRequest(
                "This is not a reference to the hub", "Write OWNER/REPO or OWNER/REPO:Q4_K_M."
            )
        repository = await hub_queries.look_up(match["repo"], allowed_hosts=allowed_hosts)
        choice = _chosen(repository, match["wanted"], reference)
        source = HubSource(repository.repo, repository.revision, choice.files)
        known = self._known(source)
        return known or await self._add(hub_model(repository, choice, source, name, self._registry))

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
                f"A model named '{model.simple_name}' already exists", "Choose another name.", param="name"
            ) from None
        return model


def _chosen(repository: HubRepository, wanted: str | None, reference: str) -> Choice:
    offer = repository.offer
    incomplete = pick_incomplete(offer, wanted)
    if (choice := pick(offer.choices, wanted)) is not None:
        return choice
    if incomplete is not None:
        raise InvalidRequest(
            "The repository has only a part of this model",
            f"Missing: {incomplete.missing} of '{file_name(incomplete.files[0].path)}'.",
            param="repo",
        )
    if wanted is not None and (choice := _named_file(repository, wanted)) is not None:
        return choice
    available = [choice.quantization or choice.files[0].path for choice in offer.choices]
    raise ModelNotFound(reference, available[:MAX_NAMES_LISTED])


def _named_file(repository: HubRepository, wanted: str) -> Choice | None:
    """A file that is not offered as a model, named by the caller; raises InvalidRequest if it cannot be one.

    An adapter is fine: it is a model of its own kind.
    """
    for file, kind in repository.offer.others:
        if wanted.casefold() in (file.path.casefold(), file_name(file.path).casefold()):
            if kind not in (*MAY_BE_WHOLE, FileKind.ADAPTER):
                raise InvalidRequest(
                    "This file is not a model",
                    f"'{file_name(file.path)}' is a {kind.value} by its name. Choose the model it belongs to.",
                    param="file",
                )
            return Choice(quantization_of(file.path), (file,))
    return None
