"""llama.cpp's grammar notation (GBNF) as rules in Lark, which is what llguidance reads.

llguidance comes with a converter, whose parser is used here. Its output is not: it turns rules into greedy
lexemes, so that `word ::= [a-z]+` followed by "b" can never end, and it loses `\\u` escapes and names that
differ in case only. Here each lexeme is one character, which keeps the language of the grammar exactly.

Invariant: the work is linear in the text. The depth of groups is bounded before the parser recurses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llguidance.gbnf_to_lark import (
    AlternativeNode,
    ASTNode,
    GbnfToLarkError,
    GrammarParser,
    LiteralNode,
    RegexNode,
    RepetitionNode,
    RuleRefNode,
    SequenceNode,
)

MAX_DEPTH = 32
MAX_REPEATS = 2000
_CHARACTER = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|(.))|([^\\])", re.DOTALL
)
_ESCAPED_CODE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|[uU]([0-9a-fA-F]{1,8}))")
_GROUPS = re.compile(r'"(?:[^"\\]|\\.)*+"?|\[(?:[^\]\\]|\\.)*+\]?|#[^\n]*+|[()]', re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _:;,!@%&<>=~'`")


class GrammarInvalid(Exception):
    """Not a grammar, or more of one than is accepted; the text is for the caller."""


def lark_of(text: str, start: str) -> str:
    """The rules in Lark, the rule `root` under the name `start`. Raises GrammarInvalid."""
    _check_depth(text)
    try:
        rules = GrammarParser().parse(text)
    except GbnfToLarkError as error:
        raise GrammarInvalid(str(error)) from None
    except (IndexError, ValueError, RecursionError):
        raise GrammarInvalid("ends in the middle of a rule") from None
    if "root" not in rules:
        raise GrammarInvalid("has no rule 'root'")
    names = {name: f"rule_{number}" for number, name in enumerate(rules)} | {"root": start}
    writer = _Writer(names)
    return "".join(f"{names[name]}: {writer.inside(rule.alternatives)}\n" for name, rule in rules.items())


def _check_depth(text: str) -> None:
    depth = 0
    for found in _GROUPS.finditer(text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            raise GrammarInvalid(f"is nested deeper than {MAX_DEPTH} levels")


class _Writer:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def inside(self, node: ASTNode) -> str:
        """A node where its alternatives need no brackets."""
        if isinstance(node, AlternativeNode):
            return " | ".join(map(self._write, node.alternatives))
        return self._write(node)

    def _write(self, node: ASTNode) -> str:
        match node:
            case LiteralNode():
                return f"({_literal(node.value)})"
            case RegexNode():
                return r"/(?s:.)/" if node.rx == "." else f"/{_class(node.rx)}/"
            case RuleRefNode():
                if node.name not in self._names:
                    raise GrammarInvalid(f"has no rule '{node.name[:80]}'")
                return self._names[node.name]
            case RepetitionNode():
                return self._repetition(node)
            case SequenceNode():
                return " ".join(map(self._write, node.nodes)) or '""'
        return f"({self.inside(node)})"

    def _repetition(self, node: RepetitionNode) -> str:
        least, most = node.min_times, node.max_times
        if max(least, most or 0) > MAX_REPEATS:
            raise GrammarInvalid(f"repeats something more than {MAX_REPEATS} times")
        if most is not None and most < least:
            raise GrammarInvalid(f"repeats something at least {least} and at most {most} times")
        return f"({self.inside(node.node)}){{{least},{'' if most is None else most}}}"


def _literal(value: str) -> str:
    """One lexeme for each character."""
    found = (
        int(two or four or eight, 16) if two or four or eight else ord(_NAMED.get(escaped, escaped) or plain)
        for two, four, eight, escaped, plain in _CHARACTER.findall(value)
    )
    return " ".join(map(_one_character, found)) or '""'


def _one_character(code: int) -> str:
    return f'"{chr(code)}"' if chr(code) in _PLAIN else f"/\\u{{{code:x}}}/"


def _class(text: str) -> str:
    """A [class] as a regular expression: its codes in the form that is known there, no line break in it."""
    text = _ESCAPED_CODE.sub(lambda found: f"\\u{{{int(found[1] or found[2], 16):x}}}", text)
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("&&", "&\\&").replace("~~", "~\\~")
