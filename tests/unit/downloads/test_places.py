"""Where the hub's client may connect: the hub's exact origin, the open internet over TLS, what is allowed."""

from __future__ import annotations

import pytest

from foundrylocal.downloads.hub_child.messages import Failure
from foundrylocal.downloads.hub_child.places import Places, origin_of

PUBLIC_HUB = Places("https://8.8.8.8", ())
INNER_HUB = Places("http://127.0.0.1:8080", ["files.internal", "[::1]"])


def goes(places: Places, url: str) -> bool:
    try:
        places.require(url)
    except Failure as failure:
        assert failure.kind == "refused"
        assert "8" not in failure.text
        return False
    return True


@pytest.mark.parametrize(
    "url",
    ["https://8.8.8.8/x", "https://1.1.1.1", "https://[2606:4700:4700::1111]/", "https://1.1.1.1:8443/?x=1"],
)
def test_the_open_internet_is_open_over_tls(url: str) -> None:
    assert goes(PUBLIC_HUB, url)
    assert goes(INNER_HUB, url)
    assert not goes(PUBLIC_HUB, url.replace("https", "http"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[fd00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "2130706433",
        "0x7f.1",
    ],
)
def test_inner_places_are_refused_in_whatever_way_they_are_written(host: str) -> None:
    assert not goes(PUBLIC_HUB, f"https://{host}/")


@pytest.mark.parametrize("host", ["[::ffff:8.8.8.8]", "[64:ff9b::808:808]", "[2002:808:808::]"])
def test_an_address_that_carries_a_public_one_is_public(host: str) -> None:
    assert goes(PUBLIC_HUB, f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("http://127.0.0.1:8080/api", True),
        ("http://127.0.0.1:8081/api", False),
        ("https://127.0.0.1:8080/api", False),
        ("http://localhost:8080/api", False),
        ("http://files.internal/x", True),
        ("http://files.internal:81/x", True),
        ("http://[::1]:81/x", True),
        ("http://files.internal.example/x", False),
    ],
)
def test_a_private_hub_opens_its_own_origin_and_what_the_user_allows(url: str, may: bool) -> None:
    assert goes(INNER_HUB, url) == may


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8:444/",
        "http://8.8.8.8/",
        "https://8.8.8.8.example/",
        "https://8.8.8.8@1.1.1.1/",
        "https://1.1.1.1\\@8.8.8.8/",
        "https://user@8.8.8.8/",
        "//8.8.8.8/",
        "",
    ],
)
def test_only_the_exact_origin_is_the_hub(url: str) -> None:
    assert not PUBLIC_HUB.is_hub(url)


@pytest.mark.parametrize("url", ["https://8.8.8.8/a", "HTTPS://8.8.8.8:443/a?b", "https://8.8.8.8"])
def test_the_hub_is_known_by_its_origin(url: str) -> None:
    assert PUBLIC_HUB.is_hub(url)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://8.8.8.8/", "https:8.8.8.8", "https://a b/", "x"]
)
def test_what_is_not_plainly_an_address_has_no_origin(url: str) -> None:
    assert origin_of(url) is None
    assert not goes(PUBLIC_HUB, url)


@pytest.mark.parametrize(
    ("places", "address", "port", "may"),
    [
        (PUBLIC_HUB, "1.1.1.1", 443, True),
        (PUBLIC_HUB, "127.0.0.1", 443, False),
        (PUBLIC_HUB, "::ffff:127.0.0.1", 443, False),
        (INNER_HUB, "127.0.0.1", 8080, True),
        (INNER_HUB, "127.0.0.1", 8081, False),
        (INNER_HUB, "::1", 81, True),
    ],
)
def test_the_address_that_is_connected_to_is_looked_at_again(
    places: Places, address: str, port: int, may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    try:
        places.require_connection(address, port)
    except Failure:
        assert not may
    else:
        assert may


def test_the_users_own_proxy_may_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.2:3128")
    PUBLIC_HUB.require_connection("127.0.0.2", 3128)
