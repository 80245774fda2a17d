"""Endpoints whose answers the engine gives in their published form: embeddings, rerank, infill, tokens, templates."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from foundrylocal.gateway.dialects.base import B, Dialect, EngineRequest
from foundrylocal.gateway.dialects.body import engine_fields
from foundrylocal.gateway.dialects.constrained.engine import ToolUse, chat_tool, engine_form
from foundrylocal.gateway.dialects.constrained.text import text_request
from foundrylocal.gateway.dialects.openai_chat.engine import offered_tools
from foundrylocal.gateway.dialects.plain.shapes import InfillBody, TemplateBody
from foundrylocal.gateway.dialects.sampling import check_sampling
from foundrylocal.gateway.limits.schema_text import SchemaBudget


class Plain(Dialect[B]):
    """One of them; `check` refuses what the types let pass."""

    def __init__(self, path: str, shape: type[B], check: Callable[[B], None] | None = None) -> None:
        super().__init__(path, shape)
        self._check = check

    def check(self, body: B) -> None:
        if self._check is not None:
            self._check(body)


class Infill(Dialect[InfillBody]):
    """POST /infill, whose answer may have to keep a grammar or schema."""

    def __init__(self) -> None:
        super().__init__("/infill", InfillBody)

    def check(self, body: InfillBody) -> None:
        check_sampling(body)

    def to_engine(self, body: InfillBody) -> EngineRequest:
        return text_request(body, engine_fields(body), self.engine_path, must_end=not body.stop)


class Template(Plain[TemplateBody]):
    """POST /apply-template, with the tools as a chat would show them."""

    def to_engine(self, body: TemplateBody) -> EngineRequest:
        tools = offered_tools(body.tools)
        kwargs = body.chat_template_kwargs
        form = engine_form(
            ToolUse(tools, tools),
            None,
            SchemaBudget(),
            field="tools",
            kwargs=kwargs,
            must_end=True,
            own_tool=chat_tool,
        )
        return EngineRequest(self.engine_path, msgspec.json.encode(engine_fields(body) | form.fields))
