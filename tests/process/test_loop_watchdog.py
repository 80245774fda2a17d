"""The service watches its own event loop: one that stood still is named in the log."""

from __future__ import annotations

import os
import signal
import threading

from tests.running import Service, eventually

# Long enough to be late whatever the watchdog's period, and short enough to be tried several times.
HALT_S = 0.6


def test_row_28_what_held_the_event_loop_is_in_the_log(service: Service) -> None:
    service.get("/health")

    def is_named_after_a_halt() -> bool:
        # The whole process stands still, the watchdog's thread too: which of the two wakes first is by chance.
        os.kill(service.process.pid, signal.SIGSTOP)
        threading.Event().wait(HALT_S)
        os.kill(service.process.pid, signal.SIGCONT)
        lines = [entry["message"] for entry in service.get("/logs?count=1000").json()]
        return any("The event loop was held for" in line for line in lines)

    eventually("the log says that the loop was held", is_named_after_a_halt, 60)
