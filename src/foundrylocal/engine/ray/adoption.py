"""Replicas that outlived a service or a link: found again by their namespace, followed, or ended.

Invariant: after `adopt`, every replica of this home on the cluster is one that the launcher knows, or is ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import foundrylocal
from foundrylocal.engine.ray import orders
from foundrylocal.engine.ray.file_offers import offers_of
from foundrylocal.engine.ray.link import Link
from foundrylocal.engine.ray.members import Member, Members
from foundrylocal.engine.ray.orders import Phase
from foundrylocal.engine.replica import Adopted
from foundrylocal.errors import ClusterUnreachable

log = logging.getLogger("foundrylocal.FoundryLocalService")

# The service's start waits for this, so that it does not load anew what runs already.
FIRST_LINK_TIMEOUT_S = 20.0
FIND_TIMEOUT_S = 15.0
COMMAND_TIMEOUT_S = 15.0


class Adoption:
    """Finds the replicas of this home; `next_incarnation` numbers those that are taken over."""

    def __init__(self, link: Link, members: Members, next_incarnation: Callable[[], int]) -> None:
        self._link = link
        self._members = members
        self._next_incarnation = next_incarnation
        self._has_adopted = False

    async def adopt(self) -> list[Adopted]:
        """The ready replicas of a service before this one; none after the first call, or without a cluster."""
        if self._has_adopted:
            return []
        try:
            await self._link.wait_up(FIRST_LINK_TIMEOUT_S)
            answer = await self._link.ask("find", FIND_TIMEOUT_S)
        except ClusterUnreachable as error:
            log.warning("Replicas that may still run were not looked for: %s", error.details)
            return []
        finally:
            self._has_adopted = True
        found = [member for fields in answer["replicas"] if (member := self._member_of(fields)) is not None]
        await self.resume()
        return [
            Adopted(member.spec, member.node, member.address)
            for member in found
            if member.address is not None and not member.has_ended
        ]

    def _member_of(self, fields: dict[str, Any]) -> Member | None:
        """A ready replica as a member; None for one that is not ready, or whose order another version wrote."""
        try:
            if orders.version_of(fields["order"]) != foundrylocal.__version__:
                return None
            order = orders.decode_order(fields["order"])
            update = orders.decode_update(fields["update"])
        except ValueError:
            return None
        if update.phase is not Phase.READY or self._members.get(order.spec.id) is not None:
            return None
        offers = offers_of(order.file_sets or ())
        member = Member(order.spec, order.node, fields["name"], self._next_incarnation(), offers)
        member.is_launched = True
        self._members.add(member)
        self._members.apply(order.spec.id, update)
        log.info("Replica %s on node %s still runs", order.spec.id, order.node)
        return member

    async def resume(self) -> None:
        """Have the link follow every member, and end what nobody knows; before `adopt`, nothing is known yet."""
        if not self._has_adopted:
            return
        try:
            for member in [one for one in self._members if one.is_launched]:
                await self._link.ask(
                    "watch",
                    COMMAND_TIMEOUT_S,
                    replica=member.spec.id,
                    name=member.name,
                    node=member.node,
                    offers=member.offers,
                )
            known = [member.name for member in self._members]
            await self._link.ask("sweep", COMMAND_TIMEOUT_S, known=known)
        except ClusterUnreachable as error:
            log.warning("Replicas on the cluster were not all found again: %s", error.details)
