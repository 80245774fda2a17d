"""A request for text without a chat: its grammar or schema as the engine gets it."""

from __future__ import annotations

from functools import partial

import msgspec

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.constrained.filters import FollowedText
from foundrylocal.gateway.dialects.sampling import Sampling, sampling_constraint
from foundrylocal.gateway.limits.adherence import Adherence
from foundrylocal.gateway.limits.schema_text import SchemaBudget


def text_request(body: Sampling, fields: Json, path: str, *, must_end: bool) -> EngineRequest:
    """The request with these fields. Raises InvalidRequest for a schema or grammar that cannot be kept."""
    for name in ("grammar", "json_schema"):
        fields.pop(name, None)
    constraint = sampling_constraint(body, SchemaBudget())
    if constraint is None:
        return EngineRequest(path, msgspec.json.encode(fields))
    field = body.constraint_field or "grammar"
    new_filter = partial(FollowedText, Adherence(constraint, field), field, must_end)
    return EngineRequest(
        path, msgspec.json.encode(fields | {"grammar": constraint.grammar}), constraint, new_filter
    )
