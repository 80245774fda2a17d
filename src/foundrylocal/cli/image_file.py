"""An image of this machine as a request carries it: the image itself, never an address to fetch."""

from __future__ import annotations

import base64
from pathlib import Path

from foundrylocal.cli.failure import Failure

MAX_BYTES = 64 * 1024 * 1024
# What the file begins with says more than its name.
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"BM", "bmp"))


def data_url(name: str) -> str:
    """The image as a `data:` URL. Raises Failure."""
    path = Path(name).expanduser()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Failure(f"The image {path} is larger than {MAX_BYTES >> 20} MB", None, "make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise Failure(
            f"The image {path} cannot be read",
            error.strerror or str(error),
            "name a file of this machine",
            exit_code=2,
        ) from error
    kind = next((kind for mark, kind in _KINDS if data.startswith(mark)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "webp"
    if kind is None:
        raise Failure(f"{path} is not an image", None, "use a PNG, JPEG, WebP, GIF or BMP file", exit_code=2)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
