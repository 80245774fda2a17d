"""Values at and past every bound: lengths, digits, depth, Unicode; for tests and fuzzers of both ports."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

DIGITS = "9" * 5000
VALUES: list[Any] = [
    "",
    "x" * 300,
    "x" * 60_000,
    "\u0000",
    "a\nb\u202e\U0001f600",
    DIGITS,
    -1,
    2**31,
    2**63,
    2**64,
    1e308,
    0.5,
    True,
    None,
    [],
    {},
    ["x" * 300],
    [[[[]]]],
    {"x" * 300: "x" * 300},
    {DIGITS: 1},
]
# Bodies that json.dumps cannot write: endless numbers, deep nesting, lone surrogates, cut text.
BODIES = [
    f'{{"port": {DIGITS}}}',
    f'{{"port": -{DIGITS}}}',
    f'{{"port": 1e{DIGITS[:20]}}}',
    '{"port": NaN}',
    "[" * 5000,
    '{"a":' * 5000,
    '{"port": "\\ud800"}',
    '{"aliases": {"\\ud800": "x"}}',
    '{"port": 1',
    '"' + "\\" * 999,
    "\ufeff{}",
    "null",
    "1",
]


def mutated(body: dict[str, Any], chance: random.Random) -> bytes:
    """The body with one to three values replaced, or its text damaged."""
    changed = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        _replace_one(changed, chance)
    data = json.dumps(changed).encode()
    if chance.random() < 0.15:
        at = chance.randrange(len(data))
        data = data[:at] + chance.choice([b"", b'"', b"[" * 200, b"\xff", DIGITS.encode(), b"\\ud800"])
        if chance.random() < 0.5:
            data += json.dumps(changed).encode()[at:]
    return data


def _replace_one(node: Any, chance: random.Random) -> None:
    """Walk down at random and replace what is there, or add what nobody knows."""
    while True:
        keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys or chance.random() < 0.05:
            if isinstance(node, dict):
                node[chance.choice(["x", "", DIGITS, "\u0000"])] = copy.deepcopy(chance.choice(VALUES))
            else:
                node.append(copy.deepcopy(chance.choice(VALUES)))
            return
        key = chance.choice(keys)
        below = node[key]
        if not isinstance(below, dict | list) or chance.random() < 0.4:
            node[key] = copy.deepcopy(chance.choice(VALUES))
            return
        node = below
