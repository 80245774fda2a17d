"""An operation: work that runs once, has any number of watchers, and ends in exactly one outcome.

Invariant: it belongs to the service's task group, so a watcher that disconnects changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio

from foundrylocal.errors import FoundryLocalError, InternalError, OperationCancelled
from foundrylocal.events import Event, Failed, Progress, Succeeded
from foundrylocal.kit.broadcast import Broadcast, Subscription

T = TypeVar("T")


class Operation(Generic[T]):
    """Carries the progress and the outcome of one operation to everyone who waits for it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._milestones: list[Event] = []
        self._latest: Progress | None = None
        self._outcome: Succeeded | Failed | None = None
        self._broadcast: Broadcast[Event] = Broadcast()
        self._begun = anyio.Event()
        self._ended = anyio.Event()
        self._is_admitted = False
        self._scope = anyio.CancelScope()
        self._cancel_error: FoundryLocalError = OperationCancelled(what)

    @property
    def outcome(self) -> Succeeded | Failed | None:
        """How it ended; None while it is under way."""
        return self._outcome

    @property
    def is_ended(self) -> bool:
        return self._outcome is not None

    @property
    def latest(self) -> Progress | None:
        """The latest measured progress, for listings."""
        return self._latest

    def report(self, event: Progress) -> None:
        """Notify the watchers; late joiners get all milestones and the latest measure."""
        if self.is_ended:
            return
        if event.measure is None:
            self._milestones.append(event)
        else:
            self._latest = event
        self._broadcast.publish(event)

    def watch(self) -> Subscription[Event]:
        """All milestones from the start and the latest measure, then live events, ending with the outcome."""
        first = [*self._milestones, *([self._latest] if self._latest else [])]
        if self._outcome is not None:
            first.append(self._outcome)
        return self._broadcast.subscribe(first)

    def admit(self) -> None:
        """Called by the work once its preconditions hold: from here on it is under way."""
        self._is_admitted = True
        self._begun.set()

    async def begun(self) -> None:
        """Wait until the work is under way; raise its error if it was refused before that."""
        await self._begun.wait()
        if not self._is_admitted:
            await self.result()

    async def ended(self) -> None:
        """Wait for the end, whatever the outcome."""
        await self._ended.wait()

    async def result(self) -> T:
        """Wait for the end and return the result, or raise the error."""
        await self._ended.wait()
        if isinstance(self._outcome, Succeeded):
            return cast(T, self._outcome.result)
        assert isinstance(self._outcome, Failed)  # noqa: S101 - set before the event
        # Several callers may wait for one outcome: raising a shared instance would chain their tracebacks.
        raise self._outcome.error.with_traceback(None)

    def cancel(self, error: FoundryLocalError | None = None) -> None:
        """Request cancellation; `ended` waits until it has taken effect. The watchers get `error`."""
        self._cancel_error = error or self._cancel_error
        self._scope.cancel()

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        message: Callable[[T], str],
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do the work and settle the outcome; raises nothing but the service's own cancellation.

        `on_fault` is called with an exception that is not a domain error; the watchers get InternalError instead.
        """
        outcome: Succeeded | Failed | None = None
        try:
            with self._scope:
                try:
                    made = await work()
                    outcome = Succeeded(message(made), made)
                except FoundryLocalError as error:
                    outcome = Failed(error)
                except Exception as error:  # noqa: BLE001 - the watchers must see an outcome in any case
                    if on_fault is not None:
                        on_fault(error)
                    outcome = Failed(InternalError())
        finally:
            self._settle(outcome or Failed(self._cancel_error))

    def _settle(self, outcome: Succeeded | Failed) -> None:
        self._outcome = outcome
        self._broadcast.publish(outcome)
        self._broadcast.close()
        self._begun.set()
        self._ended.set()
