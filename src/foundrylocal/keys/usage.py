"""What one key has used: its requests of the last minute and its tokens of the day.

Invariant: in no span of 60 seconds are more requests admitted than the limit. The clocks are passed in: monotonic
seconds for the minute, so that a changed system time frees nothing, and UTC seconds for the day.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from foundrylocal.keys.api_key import ApiKey
from foundrylocal.keys.errors import RateLimitExceeded

MINUTE_S = 60.0
DAY_S = 86_400.0


class KeyUsage:
    """The counts of one key."""

    def __init__(self) -> None:
        self._request_times: deque[float] = deque()
        self._day = 0
        self._day_tokens = 0
        self.last_used_at_s: float | None = None

    def admit(self, key: ApiKey, now: float, utc_s: float) -> None:
        """Count one request. Raises RateLimitExceeded, and then it does not count."""
        self.check_tokens(key, utc_s)
        self._forget_old(now)
        limit = key.requests_per_minute
        if limit is not None:
            if len(self._request_times) >= limit:
                wait_s = self._request_times[-limit] + MINUTE_S - now
                raise RateLimitExceeded(f"{limit} requests per minute", max(1, math.ceil(wait_s)))
            self._request_times.append(now)

    def check_tokens(self, key: ApiKey, utc_s: float) -> None:
        """Raise RateLimitExceeded when the day's tokens are used up."""
        if key.tokens_per_day is not None and self.tokens_today(utc_s) >= key.tokens_per_day:
            until_midnight_s = DAY_S - utc_s % DAY_S
            raise RateLimitExceeded(
                f"{key.tokens_per_day} tokens per day (UTC)", max(1, math.ceil(until_midnight_s))
            )

    def add_tokens(self, tokens: int, utc_s: float) -> None:
        """Count the tokens of a request that has ended."""
        self._day_tokens = self.tokens_today(utc_s) + tokens
        self._day = _day_of(utc_s)

    def tokens_today(self, utc_s: float) -> int:
        return self._day_tokens if _day_of(utc_s) == self._day else 0

    def requests_last_minute(self, now: float) -> int:
        """Counted for keys with a limit only."""
        self._forget_old(now)
        return len(self._request_times)

    def _forget_old(self, now: float) -> None:
        while self._request_times and self._request_times[0] <= now - MINUTE_S:
            self._request_times.popleft()

    # --- across restarts --------------------------------------------------------------------------------

    def to_dict(self, now: float, utc_s: float) -> dict[str, Any]:
        """The counts as they are saved: ages and a UTC time, since monotonic times end with the process."""
        self._forget_old(now)
        return {
            "saved_at_s": utc_s,
            "request_ages_s": [round(now - time, 3) for time in self._request_times],
            "day": self._day,
            "day_tokens": self._day_tokens,
            "last_used_at_s": self.last_used_at_s,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], now: float, utc_s: float) -> KeyUsage:
        """The counts that were saved. Raises TypeError, ValueError, KeyError for anything else."""
        usage = cls()
        usage._day, usage._day_tokens = int(saved["day"]), int(saved["day_tokens"])
        # A clock that was turned back since then makes the requests look no younger than they were.
        since_s = max(0.0, utc_s - float(saved["saved_at_s"]))
        times = sorted(now - float(age) - since_s for age in saved["request_ages_s"])
        usage._request_times.extend(times)
        last_used = saved["last_used_at_s"]
        usage.last_used_at_s = None if last_used is None else float(last_used)
        return usage


def _day_of(utc_s: float) -> int:
    return int(utc_s // DAY_S)
