"""Constraints that are refused for a while."""

from __future__ import annotations

from foundrylocal.gateway.limits.refused import MAX_REFUSED, REFUSED_FOR_S, RefusedConstraints


def test_a_constraint_is_refused_until_its_time_is_over() -> None:
    now = [100.0]
    refused = RefusedConstraints(lambda: now[0])
    refused.add("model", "digest")
    assert refused.wait_s("model", "digest") == REFUSED_FOR_S
    assert refused.wait_s("other", "digest") == refused.wait_s("model", "other") == 0
    now[0] += REFUSED_FOR_S
    assert refused.wait_s("model", "digest") == 0


def test_the_oldest_leaves_when_there_are_too_many() -> None:
    refused = RefusedConstraints(lambda: 0.0)
    for number in range(MAX_REFUSED + 1):
        refused.add("model", str(number))
    assert refused.wait_s("model", "0") == 0
    assert refused.wait_s("model", "1") > 0 and refused.wait_s("model", str(MAX_REFUSED)) > 0
