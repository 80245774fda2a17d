from __future__ import annotations

import math
from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.ollama.keep_alive import keep_alive_s


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (0.0, 0.0),
        ("0", 0.0),
        (90, 90.0),
        ("300", 300.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        (-1, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
    ],
)
def test_durations_as_ollamas_clients_write_them(given: Any, seconds: float | None) -> None:
    assert keep_alive_s(given) == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "soon", "5 m", "5m3", "m", "--5m", "1e3s", "5m" * 40])
def test_what_is_no_duration_is_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keep_alive_s(given)
    assert caught.value.param == "keep_alive"
