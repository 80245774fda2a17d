"""GET and DELETE of the responses that are kept, and the list of what each one answers."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.dialects.responses.store import ResponseStore

MAX_ITEMS = 100
DEFAULT_ITEMS = 20
_ITEMS = "/input_items"


def is_kept_path(path: str) -> bool:
    """Whether the part of a path behind `/v1/responses/` names a response, or the items of one."""
    return "/" not in path.removesuffix(_ITEMS) and path.startswith("resp_")


def answer_kept(store: ResponseStore, method: str, path: str, query: dict[str, str], owner: str = "") -> Json:
    """The answer to a call about a kept response of `owner`. Raises ResponseNotFound, InvalidRequest."""
    name = path.removesuffix(_ITEMS)
    if method == "DELETE":
        store.remove(name, owner)
        return {"id": name, "object": "response", "deleted": True}
    kept = store.get(name, owner)
    return _page(kept.items, query) if path.endswith(_ITEMS) else kept.response


def _page(items: list[Json], query: dict[str, str]) -> Json:
    """A page of items: the newest first unless `order` is asc, those after the item `after`."""
    if (order := query.get("order", "desc")) not in ("asc", "desc"):
        refuse("order", "must be asc or desc")
    text = query.get("limit", str(DEFAULT_ITEMS))
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_ITEMS):
        refuse("limit", f"must be a number from 1 to {MAX_ITEMS}")
    ordered = items if order == "asc" else items[::-1]
    if (after := query.get("after")) is not None:
        place = next((number for number, item in enumerate(ordered) if item["id"] == after), None)
        if place is None:
            refuse("after", "is not the id of an item of this response")
        ordered = ordered[place + 1 :]
    page = ordered[: int(text)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": len(page) < len(ordered),
    }
