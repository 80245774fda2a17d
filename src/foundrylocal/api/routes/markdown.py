"""Route: Markdown as a tree of elements, for the dashboard's chat."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.bodies import LONG_TEXT_LIMIT, parse_body
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.kit.threads import ThreadLane
from foundrylocal.wire.markdown import MarkdownAnswer, MarkdownBody

router = APIRouter(tags=["Dashboard"])
# One at a time: the engine needs the processor more.
_RENDERING = ThreadLane("rendering", 1)


@router.post(
    "/markdown",
    response_model=MarkdownAnswer,
    responses=refusals(*OF_A_BODY),
    openapi_extra=describe_body(MarkdownBody),
)
async def render_markdown(request: Request) -> Any:
    """Parse Markdown into a tree of a few harmless elements."""
    body = await parse_body(request, MarkdownBody, LONG_TEXT_LIMIT)
    return {"nodes": await _RENDERING.run(_parse, body.text)}


def _parse(text: str) -> list[Any]:
    # Imported when it is first needed: most services never render anything.
    from foundrylocal.api.markdown import parse_markdown

    return parse_markdown(text)
