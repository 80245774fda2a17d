"""The responses that are kept: their bounds, and the pages of what they answer."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.errors import FoundryLocalError, InvalidRequest, ResponseNotFound
from foundrylocal.gateway.dialects.responses.kept import answer_kept, is_kept_path
from foundrylocal.gateway.dialects.responses.store import ResponseStore

Json = dict[str, Any]


def response(number: int, size: int = 1) -> Json:
    return {
        "id": f"resp_{number}",
        "output": [{"type": "message", "id": f"msg_{number}", "content": "x" * size}],
    }


def kept(store: ResponseStore) -> list[int]:
    found = []
    for number in range(20):
        try:
            store._kept[f"resp_{number}"]
        except KeyError:
            continue
        found.append(number)
    return found


def test_the_least_recently_used_leaves_first() -> None:
    store = ResponseStore(lambda: 3)
    for number in range(3):
        store.add(response(number), [])
    store.get("resp_0")
    store.add(response(3), [])
    assert kept(store) == [0, 2, 3]


def test_the_limit_holds_from_the_next_response_on() -> None:
    limits = [5]
    store = ResponseStore(lambda: limits[0])
    for number in range(5):
        store.add(response(number), [])
    limits[0] = 0
    assert not store.is_on
    store.add(response(9), [])
    assert kept(store) == []


def test_large_conversations_are_bounded_by_their_bytes() -> None:
    store = ResponseStore(lambda: 100, max_bytes=5000)
    for number in range(10):
        store.add(response(number, 1000), [])
    assert kept(store) == [6, 7, 8, 9]


def test_a_response_that_is_too_large_displaces_no_other_one() -> None:
    store = ResponseStore(lambda: 100, max_bytes=5000, max_response_bytes=2000)
    store.add(response(0, 1000), [])
    store.add(response(1, 1000), [{"content": "x" * 1500}])
    assert kept(store) == [0]


def test_get_and_delete() -> None:
    store = ResponseStore(lambda: 3)
    store.add(response(1), [])
    assert answer_kept(store, "GET", "resp_1", {}) == response(1)
    assert answer_kept(store, "DELETE", "resp_1", {}) == {
        "id": "resp_1",
        "object": "response",
        "deleted": True,
    }
    for method in ("GET", "DELETE"):
        with pytest.raises(ResponseNotFound):
            answer_kept(store, method, "resp_1", {})


def test_the_items_come_in_pages() -> None:
    store = ResponseStore(lambda: 3)
    store.add(response(1), [{"id": f"i{number}"} for number in range(30)])
    path = "resp_1/input_items"
    newest = answer_kept(store, "GET", path, {})
    assert (newest["first_id"], newest["last_id"], newest["has_more"]) == ("i29", "i10", True)
    rest = answer_kept(store, "GET", path, {"after": "i10", "limit": "100"})
    assert (rest["first_id"], rest["last_id"], rest["has_more"]) == ("i9", "i0", False)
    assert answer_kept(store, "GET", path, {"order": "asc", "limit": "1"})["data"] == [{"id": "i0"}]
    assert answer_kept(store, "GET", path, {"after": "i0"})["data"] == []


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"order": "up"}, {"after": "i9"}]
)
def test_a_bad_page_names_its_field(query: dict[str, str]) -> None:
    store = ResponseStore(lambda: 3)
    store.add(response(1), [])
    with pytest.raises(InvalidRequest) as caught:
        answer_kept(store, "GET", "resp_1/input_items", query)
    assert caught.value.param == next(iter(query))


def test_which_paths_name_a_response() -> None:
    assert is_kept_path("resp_1") and is_kept_path("resp_1/input_items")
    for path in ("", "compact", "resp_1/cancel", "resp_1/input_items/x", "x/resp_1"):
        assert not is_kept_path(path)


def test_a_response_exists_for_its_owner_alone_and_leaves_with_its_key() -> None:
    store = ResponseStore(lambda: 3)
    store.add(response(1), [], "alice")
    store.add(response(2), [], "bob")
    for call in (store.get, store.remove, store.conversation_of):
        with pytest.raises(FoundryLocalError):
            call("resp_1", "bob")
    assert store.get("resp_1", "alice").response == response(1)
    store.remove_all_of("alice")
    with pytest.raises(ResponseNotFound):
        store.get("resp_1", "alice")
    store.remove("resp_2", "bob")
    assert store._bytes == 0
