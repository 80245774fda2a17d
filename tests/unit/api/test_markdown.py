"""Markdown as a tree of harmless elements: what is made of each construct, and of hostile and endless texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.api.markdown import MAX_DEPTH, TAGS, parse_markdown
from foundrylocal.wire.markdown import MAX_CHARS


def walk(nodes: list[Any]) -> list[dict[str, Any]]:
    found = []
    for node in nodes:
        if not isinstance(node, str):
            found += [node, *walk(node.get("children", []))]
    return found


def text_of(nodes: list[Any]) -> str:
    return "".join(node if isinstance(node, str) else text_of(node.get("children", [])) for node in nodes)


def p(*children: Any) -> list[Any]:
    return [{"tag": "p", "children": list(children)}]


def test_strong_and_em() -> None:
    strong, em = {"tag": "strong", "children": ["a"]}, {"tag": "em", "children": ["b"]}
    assert parse_markdown("**a** *b*") == p(strong, " ", em)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("# a", [{"tag": "h3", "children": ["a"]}]),
        ("3. a", [{"tag": "ol", "start": 3, "children": [{"tag": "li", "children": ["a"]}]}]),
        ("```py\nx<1\n```", [{"tag": "pre", "children": [{"tag": "code", "children": ["x<1\n"]}]}]),
        ("<b>x</b>", p("<b>x</b>")),
        ("[a](https://b.example/c)", p({"tag": "a", "href": "https://b.example/c", "children": ["a"]})),
        ("a  \nb", p("a", {"tag": "br"}, "b")),
    ],
)
def test_what_is_made_of_it(text: str, nodes: list[Any]) -> None:
    assert parse_markdown(text) == nodes


def test_a_table_is_a_table() -> None:
    tags = [node["tag"] for node in walk(parse_markdown("|a|b|\n|-|-|\n|1|2|"))]
    assert tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>)",
        "[x](vbscript:y)",
        "[x](//evil.example)",
        "[x](/config)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
    ],
)
def test_a_link_to_anything_else_is_text(text: str) -> None:
    assert all("href" not in node for node in walk(parse_markdown(text)))


def test_an_image_is_a_link_and_never_fetched() -> None:
    (paragraph,) = parse_markdown("![cat](https://a.example/cat.png)")
    assert paragraph["children"] == [{"tag": "a", "href": "https://a.example/cat.png", "children": ["cat"]}]


@given(st.text(alphabet="<>&[]()!*_`~#-|\\\n\t :/ahtps1.\"'", max_size=300))
def test_every_text_is_made_of_known_elements(text: str) -> None:
    for node in walk(parse_markdown(text)):
        assert node["tag"] in TAGS and set(node) <= {"tag", "children", "href", "start"}
        assert node.get("href", "https://").startswith(("http://", "https://", "mailto:", "HTTP"))


def depth_of(nodes: list[Any]) -> int:
    return max(
        (1 + depth_of(node.get("children", [])) for node in nodes if not isinstance(node, str)), default=0
    )


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a ", "**", "`a", ">", "- ", "[a](b", "a_", "*_", "<", "&a;", "\\", "~~a "]
)
def test_endless_constructs_are_bounded(piece: str) -> None:
    nodes = parse_markdown((piece * MAX_CHARS)[:MAX_CHARS])
    assert depth_of(nodes) <= 3 * MAX_DEPTH
