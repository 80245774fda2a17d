"""How much work a grammar or a pattern makes for the engine, which explores one without any bound of its own.

Invariant: what `check_grammar` and `check_pattern` let pass has no rule that begins with itself, repeats a bounded
number of times, and is open to a bounded number of continuations at its begin. Where a grammar recurs, what it leads
to later is looked at by `ambiguity`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from foundrylocal.gateway.limits.ambiguity import check_ambiguity
from foundrylocal.gateway.limits.grammar_tree import Choice, GrammarTooMuch, Node, Read, Repeat

MAX_DEPTH = 32
MAX_REPEATS = 2000
MAX_CHOICES = 1000
# Of what may be left out the engine tries every combination, for every token of the model anew.
MAX_SKIPS = 16
MAX_ELEMENTS = 20_000
MAX_PATTERN = 1000
_REPEAT = r"(?P<repeat>[*+?]|\{\s*(?P<least>\d*)\s*(?P<comma>,?)\s*(?P<most>\d*)\s*\})"
_GRAMMAR = re.compile(
    r"(?P<space>\s+|\#[^\n\r]*)|(?P<rule>[\w-]+)\s*::=|(?P<name>[\w-]+)"
    r'|(?P<atom>"(?:[^"\\]|\\.)*+"|\[(?:[^\]\\]|\\.)*+\]|\.|!?<[^<>\s]*>)'
    r"|(?P<open>\()|(?P<close>\))|(?P<bar>\|)|" + _REPEAT,
    re.DOTALL,
)
_PATTERN = re.compile(
    _REPEAT + r"|(?P<open>\()\??|(?P<close>\))|(?P<bar>\|)|(?P<atom>\\.|\[(?:[^\]\\]|\\.)*+\]|.)", re.DOTALL
)


@lru_cache(maxsize=32)  # applications send the same grammar again and again; one that is refused is not kept
def check_grammar(text: str) -> None:
    """Raises GrammarTooMuch with what is not taken in a grammar in the engine's own notation."""
    rules = {name: rule for name, rule in _parse(_GRAMMAR, text).items() if name}
    _Measure(rules).check()
    check_ambiguity(rules)


def check_pattern(text: str) -> None:
    """Raises GrammarTooMuch with what is not taken in the pattern of a string."""
    if len(text) > MAX_PATTERN:
        raise GrammarTooMuch(f"is longer than {MAX_PATTERN} characters")
    _Measure(_parse(_PATTERN, text)).check()


# --- reading --------------------------------------------------------------------------------------------


def _parse(tokens: re.Pattern[str], text: str) -> dict[str, Choice]:
    """The rules by name; what is outside of any rule, as all of a pattern is, by the empty name."""
    rules = {"": Choice()}
    stack = [rules[""]]
    for found in _tokens(tokens, text):
        if rule := found.groupdict().get("rule"):
            # Twice the same name: both count, since the engine may take either.
            stack = [rules.setdefault(rule, Choice([]))]
            stack[0].ways.append([])
        elif found["repeat"]:
            sequence = stack[-1].ways[-1]
            if not sequence:
                raise GrammarTooMuch(f"repeats nothing at character {found.start()}")
            sequence[-1] = _repeat(sequence[-1], found)
        elif found["open"]:
            inner = Choice()
            stack[-1].ways[-1].append(inner)
            stack.append(inner)
            if len(stack) > MAX_DEPTH:
                raise GrammarTooMuch(f"is nested deeper than {MAX_DEPTH} levels")
        elif found["close"]:
            if len(stack) == 1:
                raise GrammarTooMuch("closes a bracket that is not open")
            stack.pop()
        elif found["bar"]:
            stack[-1].ways.append([])
        else:
            stack[-1].ways[-1] += _leaf(found)
    return rules


def _leaf(found: re.Match[str]) -> list[Node]:
    """A name, or something that is read: nothing for a space, and for a text without a character."""
    if found["atom"]:
        return [Choice() if found["atom"] == '""' else Read(found["atom"])]
    name = found.groupdict().get("name")
    return [name] if name else []


def _tokens(tokens: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        found = tokens.match(text, at)
        if found is None:
            raise GrammarTooMuch(f"cannot be read at character {at}")
        yield found
        at = found.end()


def _repeat(item: Node, found: re.Match[str]) -> Repeat:
    sign = found["repeat"]
    if not sign.startswith("{"):
        return Repeat(item, int(sign == "+"), 1 if sign == "?" else None)
    if max(len(found["least"]), len(found["most"])) > len(str(MAX_REPEATS)):
        raise GrammarTooMuch(f"repeats more than {MAX_REPEATS} times at character {found.start()}")
    least = int(found["least"] or 0)
    most = int(found["most"]) if found["most"] else None if found["comma"] else least
    if most is not None and most < least:
        raise GrammarTooMuch(
            f"repeats at most {most} and at least {least} times at character {found.start()}"
        )
    if max(least, most or 0) > MAX_REPEATS:
        raise GrammarTooMuch(f"repeats more than {MAX_REPEATS} times at character {found.start()}")
    return Repeat(item, least, most)


# --- measuring ------------------------------------------------------------------------------------------


class _Begin(NamedTuple):
    """In how many ways something can begin, how many parts may be left out before, and whether it may be nothing."""

    choices: int
    skips: int
    is_empty: bool


_NOTHING = _Begin(0, 0, True)


class _Measure:
    """What the engine will go through; a rule that it does not know is refused by it."""

    def __init__(self, rules: dict[str, Choice]) -> None:
        self._rules = rules
        self._begins: dict[str, _Begin | None] = {}
        self._repeats: dict[str, int] = {}

    def check(self) -> None:
        try:
            for rule in self._rules.values():
                self._check_ways(rule)
                if self._count_repeats(rule) > MAX_REPEATS:
                    raise GrammarTooMuch(f"repeats what is repeated more than {MAX_REPEATS} times in all")
        except RecursionError:
            raise GrammarTooMuch("has too many rules that lead from one to the next") from None
        if sum(map(_elements, self._rules.values())) > MAX_ELEMENTS:
            raise GrammarTooMuch(f"has more than {MAX_ELEMENTS} elements with its repetitions written out")

    def _check_ways(self, node: Node) -> None:
        """Refuse a place, at the begin or after any element, from where there are too many ways to go on."""
        if isinstance(node, Repeat):
            self._check_ways(node.item)
        if not isinstance(node, Choice):
            return
        _limit(self._begin(node))
        for way in node.ways:
            rest = _NOTHING
            for one in reversed(way):
                rest = _then(self._begin(one), rest)
                _limit(rest)
                self._check_ways(one)

    def _begin(self, node: Node) -> _Begin:
        if isinstance(node, str):
            return self._begin_of_rule(node)
        if isinstance(node, Repeat):
            item = self._begin(node.item)
            times = max(1, node.most or node.least + 1) if item.is_empty else 1
            may_skip = item.is_empty or node.least == 0
            return _Begin(times * item.choices + 1, times * (item.skips + may_skip), may_skip)
        if isinstance(node, Read):
            return _Begin(1, 0, False)
        ways = [self._begin_of_way(way) for way in node.ways]
        is_empty = any(way.is_empty for way in ways)
        return _Begin(sum(way.choices for way in ways), max(way.skips for way in ways) + is_empty, is_empty)

    def _begin_of_way(self, way: list[Node]) -> _Begin:
        total = _NOTHING
        for node in way:
            one = self._begin(node)
            total = _Begin(total.choices + one.choices, total.skips + one.skips, one.is_empty)
            if not one.is_empty:
                break
        return total

    def _begin_of_rule(self, name: str) -> _Begin:
        if name not in self._rules:
            return _Begin(1, 0, False)
        if name not in self._begins:
            self._begins[name] = None  # under way
            self._begins[name] = self._begin(self._rules[name])
        found = self._begins[name]
        if found is None:
            raise GrammarTooMuch(f"has a rule that begins with itself: {name[:80]}")
        return found

    def _count_repeats(self, node: Node) -> int:
        """How often a thing inside it may be repeated, by all repetitions around that thing."""
        if isinstance(node, Repeat):
            return max(1, node.most or node.least) * self._count_repeats(node.item)
        if isinstance(node, Choice):
            return max((self._count_repeats(one) for way in node.ways for one in way), default=1)
        if isinstance(node, Read) or node not in self._rules:
            return 1
        if node not in self._repeats:
            self._repeats[node] = 1  # what a rule that leads back to itself counts for
            self._repeats[node] = self._count_repeats(self._rules[node])
        return self._repeats[node]


def _then(first: _Begin, rest: _Begin) -> _Begin:
    if not first.is_empty:
        return first
    return _Begin(first.choices + rest.choices, first.skips + rest.skips, rest.is_empty)


def _limit(begin: _Begin) -> None:
    if begin.choices > MAX_CHOICES:
        raise GrammarTooMuch(f"can go on in more than {MAX_CHOICES} ways at one place")
    if begin.skips > MAX_SKIPS:
        raise GrammarTooMuch(f"has more than {MAX_SKIPS} parts in a row that may be left out")


def _elements(node: Node) -> int:
    if isinstance(node, Repeat):
        return max(1, node.most or node.least) * _elements(node.item)
    if isinstance(node, Choice):
        return sum(1 + sum(map(_elements, way)) for way in node.ways)
    return 1
