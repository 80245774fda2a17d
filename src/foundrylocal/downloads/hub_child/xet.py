"""Bytes by Xet, the hub's content-addressed storage, in order and from any place of the file.

Invariant: a failure of it is a XetFailed, and never worse than not having tried.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from huggingface_hub import constants, utils


class XetFailed(Exception):
    """Xet did not deliver; plain HTTP may."""


def is_available() -> bool:
    return not constants.HF_HUB_DISABLE_XET and importlib.util.find_spec("hf_xet") is not None


def stream(file: Any, headers: dict[str, str], size_bytes: int | None, start: int) -> Iterator[bytes]:
    """The bytes from `start` on; raises XetFailed."""
    try:
        yield from _stream(file, headers, size_bytes, start)
    except GeneratorExit:
        raise
    except Exception as error:
        raise XetFailed from error


def _stream(file: Any, headers: dict[str, str], size_bytes: int | None, start: int) -> Iterator[bytes]:
    # Only some platforms have it, and the hub's side of it is not public: whatever fails here is XetFailed.
    hf_xet: Any = importlib.import_module("hf_xet")
    hub_xet: Any = importlib.import_module(f"{utils.__name__}._xet")
    connection = hub_xet.refresh_xet_connection_info(file_data=file, headers=headers)
    session = hub_xet.get_xet_session()
    group = session.new_download_stream_group(
        endpoint=connection.endpoint,
        token=connection.access_token,
        token_expiry_unix_secs=connection.expiration_unix_epoch,
        token_refresh_url=file.refresh_route,
        token_refresh_headers=headers,
    )
    info = hf_xet.XetFileInfo(file.file_hash, size_bytes)
    for data in group.download_stream(info, start=start or None):
        yield bytes(data)
