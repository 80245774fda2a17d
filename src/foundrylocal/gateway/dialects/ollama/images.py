"""Ollama's images: base64 without a type, which is read from the first bytes."""

from __future__ import annotations

import re

from foundrylocal.gateway.dialects.openai_chat.shapes import ImagePart, ImageUrl
from foundrylocal.gateway.dialects.refusals import refuse

# Any text of a tool that made the base64 is left out: browsers give data URLs.
_DATA_URL = re.compile(r"data:image/[a-z0-9.+\-]{1,40};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# How base64 of a file of that type begins.
_TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp", "Qk": "bmp"}


def image_part(data: str, place: str) -> ImagePart:
    """An image as part of a chat message. Raises InvalidRequest for what is not base64, such as a web address."""
    found = _DATA_URL.match(data)
    encoded = "".join((data[found.end() :] if found else data).split())
    if not _BASE64.fullmatch(encoded):
        refuse(place, "must be the image itself in base64: URLs and file names are not supported")
    kind = next((name for start, name in _TYPES.items() if encoded.startswith(start)), "png")
    return ImagePart(ImageUrl(f"data:image/{kind};base64,{encoded}"))
