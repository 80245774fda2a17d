"""The order that a worker of the built-in engine gets: one line of JSON on its standard input.

Invariant: the order is everything the worker is told; nothing secret stands in its arguments or environment.
"""

from __future__ import annotations

import json
import os

from foundrylocal.engine.replica import ListenAddress, ReplicaSpec


def render_order(spec: ReplicaSpec, address: ListenAddress) -> bytes:
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
    return json.dumps(order | spec.options.model_dump(mode="json")).encode() + b"\n"
