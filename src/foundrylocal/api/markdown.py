"""Markdown as a tree of a few harmless elements, for pages that build it from elements and never parse HTML.

Invariant: an element is one of `TAGS`, a link leads to http, https or mailto, nothing is fetched to show it, and HTML
in the text is text.
"""

from __future__ import annotations

from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

TAGS = frozenset(
    {
        *("p", "h3", "h4", "h5", "strong", "em", "s", "code", "pre", "blockquote", "hr", "br", "a"),
        *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
    }
)
MAX_DEPTH = 20
_HEADINGS = {"h1": "h3", "h2": "h3", "h3": "h4"}
_SCHEMES = ("http://", "https://", "mailto:")

Node = str | dict[str, Any]


def parse_markdown(text: str) -> list[Node]:
    """The nodes of a text: strings, and `{tag, children?, href?, start?}`. Takes time that grows with the text."""
    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_DEPTH}).enable(
        ["table", "strikethrough"]
    )
    return _children(SyntaxTreeNode(reader.parse(text)))


def _children(parent: SyntaxTreeNode) -> list[Node]:
    found: list[Node] = []
    for child in parent.children:
        found.extend(_nodes(child))
    return found


def _nodes(node: SyntaxTreeNode) -> list[Node]:
    match node.type:
        case "text" | "text_special" | "html_inline" | "html_block":
            return [node.content] if node.content else []
        case "softbreak":
            return ["\n"]
        case "hardbreak":
            return [{"tag": "br"}]
        case "code_inline":
            return [{"tag": "code", "children": [node.content]}]
        case "fence" | "code_block":
            return [{"tag": "pre", "children": [{"tag": "code", "children": [node.content]}]}]
        case "image":
            # An image from elsewhere would be fetched; its text and its address say what it is.
            words = [child.content for child in node.children]
            return [_link(str(node.attrs.get("src", "")), words or ["image"])]
        case "link":
            return [_link(str(node.attrs.get("href", "")), _children(node))]
        case _:
            return _element(node)


def _link(href: str, children: list[Any]) -> Node:
    if href.lower().startswith(_SCHEMES):
        return {"tag": "a", "href": href, "children": children}
    return {"tag": "code", "children": [*children, f" ({href})"]}


def _element(node: SyntaxTreeNode) -> list[Node]:
    children = _children(node)
    tag = _HEADINGS.get(node.tag, "h5" if node.tag in ("h4", "h5", "h6") else node.tag)
    if tag not in TAGS or (tag == "p" and node.hidden):
        return children
    made: dict[str, Any] = {"tag": tag, "children": children}
    if tag == "ol" and isinstance(start := node.attrs.get("start"), int):
        made["start"] = start
    return [made]
