"""How a request for more answers than there are slots is split, and what each part asks of the engine."""

from __future__ import annotations

import json

import pytest

from foundrylocal.gateway.dialects.body import MAX_SEED, engine_seed
from foundrylocal.gateway.flow.answer_parts import Part, part_body, split_answers

RANDOM_SEED = 2**32 - 1


@pytest.mark.parametrize(
    ("answers", "slots", "counts"),
    [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (2, 2, [2]), (3, 1, [1, 1, 1]), (128, 64, [64, 64])],
)
def test_every_answer_is_in_one_part_and_no_part_is_above_the_slots(
    answers: int, slots: int, counts: list[int]
) -> None:
    parts = split_answers(answers, slots)
    assert [part.count for part in parts] == counts
    assert [part.first + i for part in parts for i in range(part.count)] == list(range(answers))


def test_a_part_asks_for_its_answers_with_a_shifted_seed() -> None:
    body = part_body(b'{"prompt":"a","n":5,"seed":7}', Part(4, 1), 7)
    assert json.loads(body) == {"prompt": "a", "n": 1, "seed": 11}
    assert json.loads(part_body(b'{"prompt":"a","n":5}', Part(4, 1), None)) == {"prompt": "a", "n": 1}


@pytest.mark.parametrize("slots", [1, 4, 8])
@pytest.mark.parametrize("seed", [-1, -130, 2**32 - 130, 2**32 - 9, 2**32 - 3, 2**32 - 2, MAX_SEED])
def test_no_answer_gets_the_seed_that_means_random(seed: int, slots: int) -> None:
    given = engine_seed(seed)
    parts = [
        (part, json.loads(part_body(b'{"n":8}', part, given))["seed"]) for part in split_answers(8, slots)
    ]
    # The engine adds an answer's number to the seed of its request.
    seeds = [first + number for part, first in parts for number in range(part.count)]
    assert given is not None and seeds == list(range(given, given + 8))  # whatever the number of slots
    assert max(seeds) < RANDOM_SEED
