"""One health check of a worker, wherever it runs, with the errors that the rest of the program knows."""

from __future__ import annotations

import anyio

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, probe
from foundrylocal.engine.replica import Address
from foundrylocal.errors import SystemExhausted, WorkerCrashed


async def check_health(address: Address, timeout_s: float) -> float:
    """Seconds that the check took.

    Raises WorkerCrashed when the worker does not answer in time, SystemExhausted when the service could not ask.
    """
    began = anyio.current_time()
    try:
        await probe(address, timeout_s)
    except WorkerUnreachable as error:
        if error.is_own_shortage:
            raise SystemExhausted(error.reason) from None
        raise WorkerCrashed(f"The worker cannot be reached: {error.reason}.") from None
    except (AnswerBroken, TimeoutError) as error:
        reason = str(error) or f"no answer within {timeout_s:g} s"
        raise WorkerCrashed(f"The worker did not pass a health check: {reason}.") from None
    return anyio.current_time() - began
