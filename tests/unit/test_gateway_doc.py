"""The reference of the gateway's API has every route with the fields that its body takes."""

from __future__ import annotations

from scripts.gateway_doc import PAGE, routes, with_tables


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_tables(page), "run python -m scripts.gateway_doc"


def test_every_route_has_a_section() -> None:
    headings = {line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("### POST ")}
    assert headings == {f"### POST {route.path}" for route in routes()}


def test_refused_fields_are_marked_and_the_gateways_own_are_not_shown() -> None:
    page = PAGE.read_text("utf-8")
    assert "| `functions` | refused |" in page
    assert "unsupported_tools" not in page
