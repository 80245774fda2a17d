"""What Ollama's endpoints on models take; `name` is the older name of `model`."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Part
from foundrylocal.gateway.dialects.refusals import refuse

_ModelName = Annotated[str, Meta(max_length=256)]


class ModelBody(Part):
    """Names a model."""

    model: _ModelName | None = None
    name: _ModelName | None = None

    @property
    def named(self) -> str:
        """Raises InvalidRequest when it names none."""
        found = self.model or self.name
        if not found:
            refuse("model", "is required")
        return found


class PullBody(ModelBody):
    stream: bool | None = None
    insecure: bool | None = None


class CopyBody(Part):
    source: _ModelName
    destination: Annotated[str, Meta(min_length=1, max_length=128)]


class CreateBody(ModelBody, rename={"from_": "from"}):
    """A model made of another: `from` with parameters and a system prompt. The rest is refused by name."""

    from_: Annotated[str, Meta(max_length=256)] | None = None
    stream: bool | None = None
    system: str | None = None
    parameters: dict[str, Any] | None = None
    template: str | None = None
    messages: Any = None
    license: Any = None
    files: Any = None
    adapters: Any = None
    quantize: str | None = None
    modelfile: str | None = None
