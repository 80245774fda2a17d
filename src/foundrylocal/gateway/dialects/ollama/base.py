"""What Ollama's inference endpoints share: lines of JSON, errors as text, and requests that only load a model."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.base import Dialect, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.ollama.errors import error_text, ollama_error
from foundrylocal.gateway.dialects.ollama.shapes import OllamaBody
from foundrylocal.gateway.dialects.ollama.stream import NDJSON, encode_line

O = TypeVar("O", bound=OllamaBody)  # noqa: E741


class Ollama(Dialect[O]):
    """An endpoint of /api."""

    stream_content_type: ClassVar[bytes] = NDJSON

    def check(self, body: O) -> None:
        _ = body.keep_alive_s  # refuses anything that is not a duration

    def own_error(self, error: FoundryLocalError, body: O) -> FoundryLocalError:
        return ollama_error(error, body.model)

    def error_body(self, error: FoundryLocalError) -> Json:
        return {"error": error_text(error)}

    def error_event(self, error: FoundryLocalError, stream: Rewriter | None = None) -> bytes:
        return encode_line(self.error_body(error))
