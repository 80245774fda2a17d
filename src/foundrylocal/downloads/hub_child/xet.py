"""Bytes from Xet, the hub's content-addressed storage, in order and from any position in the file.

Invariant: any failure is a XetFailed and leaves things as if Xet had not been tried; only the hub gets the token.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from huggingface_hub import constants, utils

from foundrylocal.downloads.hub_child.places import Places


class XetFailed(Exception):
    """Xet failed; plain HTTP may work."""


@dataclass(frozen=True, slots=True)
class XetSource:
    """One file in Xet; `headers` contain the hub's token."""

    file: Any
    headers: dict[str, str]
    size_bytes: int | None
    places: Places

    def stream(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on; raises XetFailed."""
        try:
            yield from self._stream(start)
        except GeneratorExit:
            raise
        except Exception as error:
            raise XetFailed from error

    def _stream(self, start: int) -> Iterator[bytes]:
        # Only some platforms have it, and its interface is not public: any failure here is XetFailed.
        hf_xet: Any = importlib.import_module("hf_xet")
        hub_xet: Any = importlib.import_module(f"{utils.__name__}._xet")
        connection = hub_xet.refresh_xet_connection_info(file_data=self.file, headers=self.headers)
        # The client is native: it resolves the name again itself and follows redirects, so this checks the first
        # address only. No more can be done from here.
        self.places.require(connection.endpoint)
        session = hub_xet.get_xet_session()
        group = session.new_download_stream_group(
            endpoint=connection.endpoint,
            token=connection.access_token,
            token_expiry_unix_secs=connection.expiration_unix_epoch,
            token_refresh_url=self.file.refresh_route,
            token_refresh_headers=self.headers,
        )
        info = hf_xet.XetFileInfo(self.file.file_hash, self.size_bytes)
        for data in group.download_stream(info, start=start or None):
            yield bytes(data)


def source(file: Any, headers: dict[str, str], size_bytes: int | None, places: Places) -> XetSource | None:
    """A file's Xet source; None if the hub or this machine does not support it.

    None also if the token would have to go to anyone but the hub.
    """
    is_available = not constants.HF_HUB_DISABLE_XET and importlib.util.find_spec("hf_xet") is not None
    if file is None or not is_available or not places.is_hub(file.refresh_route):
        return None
    return XetSource(file, headers, size_bytes, places)
