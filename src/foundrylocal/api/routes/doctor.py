"""Route: /doctor, an examination of the machine and of the service's surroundings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from foundrylocal.api.describe import refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.doctor.report import render
from foundrylocal.wire.doctor import DoctorAnswer

router = APIRouter(tags=["Health and Monitoring"])


@router.get("/doctor", response_model=DoctorAnswer, responses=refusals())
async def doctor(services: ServicesDep) -> Any:
    """Check folders, space, memory, ports, engine, devices, clock, proxy and hub; time a load of a model."""
    return render(await services.doctor.examine())
