"""Route: /cluster, the machines that run models, and the replicas on them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from foundrylocal.api.cluster import describe_cluster
from foundrylocal.api.describe import refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.wire.cluster import ClusterAnswer

router = APIRouter(tags=["Cluster"])


@router.get("/cluster", response_model=ClusterAnswer, responses=refusals())
async def cluster(services: ServicesDep) -> Any:
    """The nodes with their memory and versions, the replicas on them, and which of them are suspect."""
    return await describe_cluster(services.server.pool, services.cluster_address)
