"""Every regular expression of the program is linear: none repeats what could be read in two ways.

A repetition without an upper bound is refused when something in it, or what stands directly beside it, repeats
without a bound too and may read the same character. Possessive ones cannot be read in two ways.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "src"
_FUNCTIONS = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
_MANY = 256
# Sampled: every character that an expression of ours tells apart from others.
_ALPHABET = [*map(chr, range(128)), "\u00e9", "\u2028", "\U0001f600"]
Token = tuple[Any, Any]


def expressions() -> Iterator[tuple[str, str, int]]:
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if _is_call_of_re(node):
                assert isinstance(node, ast.Call)
                text = _text(node.args[0], names)
                where = f"{path.relative_to(SOURCE)}:{node.lineno}"
                assert text is not None, f"{where}: an expression that is put together at run time"
                yield where, text, re.DOTALL if "DOTALL" in ast.unparse(node) else 0


def _is_call_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _FUNCTIONS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    )


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        return node.value if isinstance(node.value, str) else node.value.decode("latin-1")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, names), _text(node.right, names)
        return left + right if left is not None and right is not None else None
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], names)
    return None


def problems(text: str, flags: int = 0) -> list[str]:
    return list(_in_sequence(list(parser.parse(text, flags)), flags))


def _in_sequence(tokens: list[Token], flags: int) -> Iterator[str]:
    before: list[set[str]] = []  # what the unbounded repetitions read that may end directly here
    for token in tokens:
        for inner in _inner(token):
            yield from _in_sequence(inner, flags)
        if _is_unbounded(token):
            body = list(token[1][2])
            repeated = _letters([token], flags)
            if any(_is_unbounded(one) and _repeats_alone(body, one, flags) for one in _all(body)):
                yield f"a repetition within a repetition: {body}"
            if any(repeated & other for other in before):
                yield f"two repetitions of the same characters side by side: {token}"
            before = [*before, repeated] if _may_be_empty(token) else [repeated]
        else:
            first, last = ([_letters([one], flags) for one in _edge(token, at)] for at in (0, -1))
            if any(one & other for one in first for other in before):
                yield f"two repetitions of the same characters side by side: {token}"
            before = [*before, *last] if _may_be_empty(token) else last


def _is_unbounded(token: Token) -> bool:
    return token[0] in (op.MAX_REPEAT, op.MIN_REPEAT) and token[1][1] >= _MANY


def _repeats_alone(body: list[Token], one: Token, flags: int) -> bool:
    """Whether that repetition could read all that a round of `body` has to read."""
    letters = _letters([one], flags)
    return any(
        one in way
        and all(other is one or _may_be_empty(other) or _letters([other], flags) & letters for other in way)
        for way in _ways(body)
    )


def _ways(tokens: list[Token]) -> list[list[Token]]:
    if len(tokens) == 1:
        kind, argument = tokens[0]
        if kind is op.BRANCH:
            return [way for branch in argument[1] for way in _ways(list(branch))]
        if kind is op.SUBPATTERN:
            return _ways(list(argument[3]))
    return [tokens]


def _inner(token: Token) -> list[list[Token]]:
    kind, argument = token
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [list(argument[2])]
    if kind is op.SUBPATTERN:
        return [list(argument[3])]
    if kind is op.BRANCH:
        return [list(branch) for branch in argument[1]]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [list(argument[1])]
    return [list(argument)] if kind is op.ATOMIC_GROUP else []


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        if token[0] is not op.POSSESSIVE_REPEAT:
            for inner in _inner(token):
                yield from _all(inner)


def _edge(token: Token, at: int) -> list[Token]:
    """The unbounded repetitions with which a token may begin (0) or end (-1)."""
    if _is_unbounded(token):
        return [token]
    if token[0] is op.POSSESSIVE_REPEAT or token[0] is op.ATOMIC_GROUP:
        return []
    found: list[Token] = []
    for inner in _inner(token):
        for one in inner if at == 0 else reversed(inner):
            found += _edge(one, at)
            if not _may_be_empty(one):
                break
    return found


def _may_be_empty(token: Token) -> bool:
    kind, argument = token
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return argument[0] == 0 or all(map(_may_be_empty, argument[2]))
    if kind is op.SUBPATTERN:
        return all(map(_may_be_empty, argument[3]))
    if kind is op.BRANCH:
        return any(all(map(_may_be_empty, branch)) for branch in argument[1])
    return kind in (op.AT, op.ASSERT, op.ASSERT_NOT)


def _letters(tokens: list[Token], flags: int) -> set[str]:
    """All characters that may be read anywhere in these tokens."""
    found: set[str] = set()
    for kind, argument in tokens:
        if kind is op.LITERAL:
            found.add(chr(argument))
        elif kind is op.NOT_LITERAL:
            found |= {letter for letter in _ALPHABET if letter != chr(argument)}
        elif kind is op.ANY:
            found |= {letter for letter in _ALPHABET if flags & re.DOTALL or letter != "\n"}
        elif kind is op.IN:
            found |= {letter for letter in _ALPHABET if _is_in(letter, argument)}
        else:
            for inner in _inner((kind, argument)):
                found |= _letters(inner, flags)
    return found


def _is_in(letter: str, items: list[Token]) -> bool:
    is_negated = items[0][0] is op.NEGATE
    hit = False
    for kind, argument in items:
        if kind is op.LITERAL:
            hit |= ord(letter) == argument
        elif kind is op.RANGE:
            hit |= argument[0] <= ord(letter) <= argument[1]
        elif kind is op.CATEGORY:
            hit |= _CATEGORIES[argument](letter)
    return hit != is_negated


_CATEGORIES: dict[Any, Any] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdigit(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    op.CATEGORY_WORD: lambda letter: letter.isalnum() or letter == "_",
    op.CATEGORY_NOT_WORD: lambda letter: not (letter.isalnum() or letter == "_"),
}


@pytest.mark.parametrize(
    "text",
    [
        r"(?:[^\s]+[/\\])+x",  # the engine's log, before
        r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}",  # grammars, before
        r"(a+)+",
        r"(a|b+)*",
        r"a*a*",
        r"\s*\s+x",
        r".*.*",
        r"(x*)*",
        r"\d+\w*",
    ],
)
def test_what_is_not_linear_is_found(text: str) -> None:
    assert problems(text)


@pytest.mark.parametrize(
    "text", [r"(?:[^a]++|a.)*+", r"(ab)*", r"\d+-\d+", r"a{1,40}b*", r"(\s+a)*", r"[a-c]*[d-f]*", r"(a,)*b*"]
)
def test_what_is_linear_passes(text: str) -> None:
    assert not problems(text)


@pytest.mark.parametrize(("where", "text", "flags"), [pytest.param(*one, id=one[0]) for one in expressions()])
def test_every_expression_is_linear(where: str, text: str, flags: int) -> None:
    assert not problems(text, flags), where
