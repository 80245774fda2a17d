"""The order that a worker gets: one line of JSON on its standard input.

Invariant: the order is everything the worker is told; nothing secret stands in its arguments or environment.
"""

from __future__ import annotations

import os
from typing import Any

from foundrylocal.engine.replica import ListenAddress, ReplicaSpec


def order_fields(spec: ReplicaSpec, address: ListenAddress) -> dict[str, Any]:
    """The order for one replica, with the effective value of each load option."""
    order = {
        "service_pid": os.getpid(),
        "socket": str(address.socket) if address.socket else None,
        "host": address.host,
        "port": address.port,
        "api_key": address.api_key,
        "slot_folder": str(address.slot_folder) if address.slot_folder else None,
        "model_path": str(spec.model_path),
        "projector_path": str(spec.projector_path) if spec.projector_path else None,
        "alias": spec.model_id,
        "is_embedding": spec.is_embedding,
        "is_reranking": spec.is_reranking,
    }
    return order | spec.options.model_dump(mode="json") | _files_of_options(spec)


def _files_of_options(spec: ReplicaSpec) -> dict[str, Any]:
    """Options that name another model, with its file in place of its name."""
    files: dict[str, Any] = {"lora": [{"path": str(one.path), "scale": one.scale} for one in spec.adapters]}
    speculative = spec.options.speculative
    if not isinstance(speculative, str):
        # No file for a draft from the model's own MTP heads.
        path = str(spec.draft_path) if spec.draft_path else None
        files["speculative"] = {"draft_path": path, "max_tokens": speculative.max_tokens}
    return files
