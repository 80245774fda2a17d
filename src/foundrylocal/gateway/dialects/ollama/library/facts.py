"""What is known of a model on disk, in the form in which Ollama lists it.

Blocking, since it reads files; a header is read once for as long as the files stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.gguf.read import GgufHeader
from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.ollama_names import LATEST, names_in_ollama
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelCorrupted
from foundrylocal.gateway.dialects.body import Json

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A downloaded model; `header` is None when its file is damaged."""

    model: Model
    stored: Stored
    header: GgufHeader | None

    @property
    def digest(self) -> str:
        """The sha256 of the file with the weights; the first part's of a split model."""
        name = self.stored.model_path.name
        return next(file.sha256 for file in self.stored.files if file.name.endswith(name))

    def details(self) -> Json:
        header = self.header
        family = header.architecture if header else (self.model.family or "").lower()
        families = [family, *(["clip"] if self.stored.projector_path else [])]
        return {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": families,
            "parameter_size": _parameter_size(header) or self.model.size or "",
            "quantization_level": self.model.quantization or (header and header.quantization) or "unknown",
        }


class ModelFacts:
    """Owner of the headers that were read."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._known: dict[str, OnDisk] = {}

    def of(self, model: Model) -> OnDisk | None:
        """None when the model is not downloaded. A damaged one is listed without its header."""
        stored = self._library.get(model.model_id)
        if stored is None:
            self._known.pop(model.model_id, None)
            return None
        known = self._known.get(model.model_id)
        if known is None or known.stored != stored or known.model is not model:
            known = self._known[model.model_id] = OnDisk(model, stored, self._header(model))
        return known

    def _header(self, model: Model) -> GgufHeader | None:
        try:
            found = self._library.inspect(model)
        except ModelCorrupted:
            return None
        return found[1] if found else None


def listed_names(model: Model) -> tuple[str, ...]:
    """The names under which a model is listed: Ollama's for `latest` and the size, or else its own."""
    found = names_in_ollama(model.simple_name)
    short = tuple(
        name for name in found if name.endswith(LATEST) or "-q" not in name.partition(":")[2].lower()
    )
    return short or found[:1] or (model.simple_name + LATEST,)


def _parameter_size(header: GgufHeader | None) -> str:
    count = header.parameter_count if header else 0
    for unit, letter in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f}{letter}" if unit >= 1e9 else f"{count / unit:.2f}{letter}"
    return ""
