"""Anthropic's structured outputs: the format of an answer, under its name of today and the older one."""

from __future__ import annotations

from typing import Any

from foundrylocal.gateway.dialects.anthropic.shapes import MessagesBody
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.constraint import Constraint, schema_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget


def check_formats(body: MessagesBody) -> None:
    """Raises InvalidRequest that names the field."""
    for name, given in _formats(body):
        if not isinstance(given, dict) or given.get("type") != "json_schema":
            refuse(name, "must be of the type json_schema")
        if not isinstance(given.get("schema"), dict):
            refuse(f"{name}.schema", "is required")


def format_constraint(body: MessagesBody, budget: SchemaBudget) -> Constraint | None:
    """The schema that the answer must keep, None without one. Raises InvalidRequest."""
    for name, given in _formats(body):
        return schema_constraint(given["schema"], f"{name}.schema", budget)
    return None


def _formats(body: MessagesBody) -> list[tuple[str, Any]]:
    formats = [
        ("output_config.format", (body.output_config or {}).get("format")),
        ("output_format", body.output_format),
    ]
    return [(name, given) for name, given in formats if given is not None]
