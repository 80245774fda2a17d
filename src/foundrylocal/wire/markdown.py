"""Request and response shapes of rendered Markdown."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MAX_CHARS = 32_768


class MarkdownBody(BaseModel):
    """Body of /markdown."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"text": "**Hello**, world"}]}
    )

    text: str = Field(max_length=MAX_CHARS, description="Markdown; HTML in it counts as text.")


class MarkdownAnswer(BaseModel):
    nodes: list[Any] = Field(
        description=(
            "Strings and elements `{tag, children?, href?, start?}`: text structure, code, lists, tables and links "
            "to http, https and mailto. Nothing that runs or is fetched."
        )
    )
