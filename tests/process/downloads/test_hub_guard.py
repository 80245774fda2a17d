"""Where a download may be led: redirects between real origins, the token's only reader, Xet's places."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from fakes.gguf_corpus import gguf
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.errors import DownloadFailed

from .conftest import Running, fake_hub_hosts

pytestmark = pytest.mark.anyio
needs_xet = pytest.mark.skipif(find_spec("hf_xet") is None, reason="needs hf_xet")

CONTENT = gguf() + os.urandom(1024 * 1024)
FILE = SourceFile("tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
MODEL = Model(
    "me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (HubSource("me/repo", None, (FILE,)),)
)


def fetcher(*allowed_hosts: str) -> dict[type, HuggingFaceFetcher]:
    one = HuggingFaceFetcher(
        allowed_hosts=lambda: allowed_hosts, stall_s=5.0, first_delay_s=0.01, max_fruitless_attempts=2
    )
    return {HubSource: one}


class Bystander:
    """Another service of this machine, that no download should ever call."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._listener.setblocking(False)
        self.port = listener.getsockname()[1]

    def was_called(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    # One socket for both families, where the machine has both.
    has_both = socket.has_dualstack_ipv6()
    family, host = (socket.AF_INET6, "::") if has_both else (socket.AF_INET, "0.0.0.0")
    with socket.create_server((host, 0), family=family, dualstack_ipv6=has_both) as listener:
        yield Bystander(listener)


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1", "https://127.0.0.1", "http://localhost", "https://[::1]", "https://127.1"]
)
async def test_a_redirect_to_an_inner_place_is_not_connected_to(
    hub: FakeHub, running: Running, library: Library, bystander: Bystander, place: str
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.hub_faults.extend([f"redirect:{place}:{bystander.port}/me/repo/tiny.gguf"] * 2)
    async with running(fetchers=fetcher()) as manager:
        with pytest.raises(DownloadFailed) as caught:
            await manager.fetch(MODEL).result()
    assert "hub_allowed_hosts" in str(caught.value.details)
    assert len([asked for asked in hub.asked if asked.method == "GET"]) == 1
    assert not bystander.was_called()
    assert library.all() == []


async def test_a_second_redirect_is_looked_at_as_the_first(
    hub: FakeHub, running: Running, library: Library, bystander: Bystander
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    within = f"redirect:{hub.url}/me/repo/resolve/main/tiny.gguf"
    hub.hub_faults.extend(["", within, f"redirect:http://127.0.0.1:{bystander.port}/x"])
    async with running(fetchers=fetcher()) as manager:
        with pytest.raises(DownloadFailed):
            await manager.fetch(MODEL).result()
    assert not bystander.was_called()


async def test_a_host_of_the_setting_may_be_led_to_and_does_not_see_the_token(
    hub: FakeHub, running: Running, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    hub.add("me/repo", "tiny.gguf", CONTENT)
    async with running(fetchers=fetcher(*fake_hub_hosts())) as manager:
        await manager.fetch(MODEL).result()
    assert library.get(MODEL.model_id) is not None
    token_at = {asked.origin: "hf_canary" in asked.headers.get("authorization", "") for asked in hub.asked}
    assert token_at == {"hub": True, "storage": False}


async def test_the_token_does_not_go_to_another_origin_that_has_the_next_page(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    hub.add("me/Tiny-GGUF", "tiny-Q4_K_M.gguf", gguf())
    hub.next_page = f"{hub.storage_url}/api/models/2"
    with pytest.raises(DownloadFailed):
        await hub_queries.search("tiny", allowed_hosts=fake_hub_hosts())
    seen = {asked.origin: asked.headers.get("authorization") for asked in hub.asked}
    assert seen == {"hub": "Bearer hf_canary", "storage": None}


async def test_the_token_does_not_go_to_a_place_that_only_says_where_xet_is(
    hub: FakeHub, running: Running, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.has_xet = True
    hub.xet_refresh_origin = hub.storage_url
    async with running(fetchers=fetcher(*fake_hub_hosts())) as manager:
        await manager.fetch(MODEL).result()
    assert not any("xet-token" in asked.path for asked in hub.asked)
    assert not any("authorization" in asked.headers for asked in hub.asked if asked.origin == "storage")


@needs_xet
async def test_xet_that_has_nothing_leaves_it_to_plain_http_which_goes_on_behind_what_is_there(
    hub: FakeHub, running: Running, library: Library
) -> None:
    sha256 = hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.has_xet = True
    hub.xet_storage_url = hub.storage_url
    part = library.place(MODEL.model_id).partial / "tiny.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[: len(CONTENT) // 2])
    part.with_name("tiny.gguf.part.json").write_text(
        json.dumps({"version": f"{sha256} {len(CONTENT)}"}), "utf-8"
    )
    async with running(fetchers=fetcher(*fake_hub_hosts())) as manager:
        await manager.fetch(MODEL).result()
    to_storage = [asked for asked in hub.asked if asked.origin == "storage"]
    assert any("reconstructions" in asked.path for asked in to_storage)
    assert hub.sent_bytes == len(CONTENT) - len(CONTENT) // 2
    assert library.check(MODEL) is not None


@needs_xet
async def test_xet_is_not_looked_for_at_an_inner_place_and_plain_http_brings_the_file(
    hub: FakeHub, running: Running, library: Library, bystander: Bystander
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.has_xet = True
    hub.xet_storage_url = f"http://127.0.0.1:{bystander.port}"
    async with running(fetchers=fetcher(*fake_hub_hosts())) as manager:
        await manager.fetch(MODEL).result()
    assert any("xet-token" in asked.path for asked in hub.asked)
    assert not bystander.was_called()
    assert library.get(MODEL.model_id) is not None
