"""Which tokens an answer consists of, each by its own piece of text.

The engine shows with each token the text that it could send at that moment: a token that may begin a stop string
shows nothing, the next one shows both, and the last ones of an answer show nothing at all. Their own pieces stand
among the alternatives, so with stop strings the engine is asked for more of those than the client wants. The token
that completes a stop string is not reported at all, even when it begins before it.
"""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json

MAX_ALTERNATIVES = 20


class TokenNames:
    """Names the tokens of one answer, in the order in which the engine reports them."""

    def __init__(self) -> None:
        self._held: list[Json] = []

    def add(self, entries: list[Json]) -> list[Json]:
        """The entries that have become certain; one that shows nothing waits for the next that does."""
        named: list[Json] = []
        for entry in entries:
            self._held.append(entry)
            if entry["token"]:
                named += _named(self._held)
                self._held = []
        return named

    def rest(self) -> list[Json]:
        """The last entries, for which no text was sent: the end of the answer, or of a stop string."""
        held, self._held = self._held, []
        return _named(held)


def tokens_of_text(entries: list[Json], text: str) -> list[Json]:
    """The entries of the tokens that begin inside the text: those of a stop string after it are not part of it."""
    names = TokenNames()
    kept: list[Json] = []
    begins_at, size = 0, len(text.encode("utf-8", "replace"))
    for entry in (*names.add(entries), *names.rest()):
        if begins_at >= size:
            break
        kept.append(entry)
        begins_at += len(entry.get("bytes") or entry["token"].encode("utf-8", "replace"))
    return kept


def without_empty_end(entries: list[Json]) -> list[Json]:
    """The entries up to the last one with a text: the token that ends an answer has none."""
    size = len(entries)
    while size and not entries[size - 1]["token"] and not entries[size - 1].get("bytes"):
        size -= 1
    return entries[:size]


def _named(run: list[Json]) -> list[Json]:
    """A run of tokens of which the last one shows the text of all; one whose piece is unknown joins the next."""
    if not run or (len(run) == 1 and run[0]["token"]):
        return run
    shown: str = run[-1]["token"]
    named: list[Json] = []
    for number, entry in enumerate(run):
        own = next((top for top in entry.get("top_logprobs", ()) if top.get("id") == entry.get("id")), None)
        if own is not None:
            named.append(entry | {"token": own["token"], "bytes": own.get("bytes")})
            shown = shown.removeprefix(own["token"])
        elif number == len(run) - 1 and shown:
            named.append(entry | {"token": shown, "bytes": list(shown.encode("utf-8", "replace"))})
    return named
