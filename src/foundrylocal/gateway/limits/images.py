"""Images of requests: the image itself and nothing that would have to be fetched."""

from __future__ import annotations

import re

from foundrylocal.gateway.dialects.refusals import refuse

_DATA_IMAGE = re.compile(r"data:image/[a-z0-9.+\-]{1,40};base64,", re.IGNORECASE)


def check_image(url: str, place: str) -> None:
    """Refuse any other address than one that holds the image; raises InvalidRequest."""
    if not _DATA_IMAGE.match(url):
        refuse(place, "must contain the image itself (data:image/...;base64,...): URLs are not fetched")
