"""Makes registry entries of imported models: names, size, capabilities.

Invariant: a name made here is plain and at most MAX_NAME_CHARS long.
"""

from __future__ import annotations

import re
from typing import Literal

from foundrylocal.catalog.file_names import FileKind, is_projector, kind_of, quantization_of, stem_of
from foundrylocal.catalog.gguf.read import GgufHeader
from foundrylocal.catalog.registry import HubSource, LocalSource, Model, Registry, SourceFile
from foundrylocal.downloads.hub.choices import Choice
from foundrylocal.downloads.hub.queries import HubRepository
from foundrylocal.downloads.imports.local_files import LocalFiles
from foundrylocal.errors import InvalidRequest, ModelNotFound

Mode = Literal["copy", "move", "link"]
MAX_NAME_CHARS = 96
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,95}")


def local_model(found: LocalFiles, mode: Mode, name: str | None) -> Model:
    """The entry of a model from a path on this machine; blocks on the disk. Raises InvalidRequest for `name`."""
    first = found.files[0]
    simple_name = _checked_name(name, stem_of(first.name))
    header = found.header
    is_adapter = header.auxiliary_kind is FileKind.ADAPTER
    files = tuple(SourceFile(str(path), path.stat().st_size, None) for path in found.files)
    return Model(
        model_id=f"local/{simple_name}",
        simple_name=simple_name,
        size=_size_label(header.parameter_count),
        quantization=header.quantization or quantization_of(f"{first.parent.name}/{first.name}"),
        family=header.architecture or None,
        license=None,
        context_length=header.context_length,
        capabilities=() if is_adapter else _capabilities(header, has_projector=found.has_projector),
        sources=(LocalSource(mode, files),),
        is_adapter=is_adapter,
    )


def hub_model(
    repository: HubRepository, choice: Choice, source: HubSource, name: str | None, registry: Registry
) -> Model:
    """The entry of a choice from the hub; without `name`, one made of the repository's. Raises InvalidRequest."""
    owner, _, repo_name = repository.repo.partition("/")
    base = re.sub(r"[-_.]gguf$", "", repo_name, flags=re.IGNORECASE)
    quantization = choice.quantization
    simple_name = _checked_name(name, _joined(base, quantization, "GGUF"))
    if name is None and _is_taken(simple_name, registry):
        simple_name = _checked_name(None, _joined(base, owner, quantization, "GGUF"))
    has_projector = any(is_projector(file.path) for file in choice.files)
    is_adapter = kind_of(choice.files[0].path) is FileKind.ADAPTER
    chat = ("chat", "vision") if has_projector else ("chat",)
    return Model(
        model_id=f"{owner}/{simple_name}",
        simple_name=simple_name,
        size=None,
        quantization=quantization,
        family=None,
        license=repository.license,
        context_length=None,
        capabilities=() if is_adapter else chat,
        sources=(source,),
        is_adapter=is_adapter,
    )


def _joined(*parts: str | None) -> str:
    return "-".join(part for part in parts if part)


def _is_taken(name: str, registry: Registry) -> bool:
    try:
        registry.find(name)
    except ModelNotFound:
        return False
    return True


def _checked_name(name: str | None, default: str) -> str:
    """The given name, which must be plain, or a plain one made of `default`."""
    if name is not None:
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "The name has characters that are not allowed",
                "Use letters, digits and . _ + - only, and begin with a letter or digit.",
                param="name",
            )
        return name
    made = re.sub(r"[^A-Za-z0-9._+-]+", "-", default).strip("-._+")[:MAX_NAME_CHARS]
    return made or "model"


def _size_label(parameter_count: int) -> str | None:
    """`135M`, `1.5B`: the way the catalog writes sizes."""
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
