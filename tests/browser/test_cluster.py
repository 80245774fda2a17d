"""The cluster's page: what /cluster says, as a person reads it. The answers are made up; the page is the real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.page import Page
from tests.running import CHAT_MODEL, Service

GB = 1024**3


def node(name: str, **fields: Any) -> dict[str, Any]:
    versions = {"foundrylocal": "0.1.0", "python": "3.11.7", "ray": "2.60.0"}
    return {
        "name": name,
        "address": name,
        "state": "alive",
        "reason": None,
        "is_service": False,
        "memory_bytes": 32 * GB,
        "free_bytes": 24 * GB,
        "gpus": [],
        "versions": versions,
        "has_other_version": False,
    } | fields


def replica(number: int, on: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "model": CHAT_MODEL,
        "model_id": f"HuggingFaceTB/{CHAT_MODEL}",
        "node": on,
        "state": "ready",
        "is_suspect": False,
        "slots": 4,
        "in_flight": 1,
        "memory_bytes": GB,
    } | fields


CLUSTER = {
    "address": "192.168.1.10:6379",
    "state": "connected",
    "message": None,
    "action": None,
    "nodes": [
        node("192.168.1.10", is_service=True),
        node("192.168.1.11", state="suspect", reason="It has not answered for 6 s.", gpus=[8 * GB]),
        node("192.168.1.12", has_other_version=True),
    ],
    "total_count": 3,
    "replicas": [replica(1, "192.168.1.10"), replica(2, "192.168.1.11", is_suspect=True)],
    "suspects": ["192.168.1.11", "r-2"],
}
ALONE = CLUSTER | {
    "address": None,
    "state": "local",
    "nodes": [node("", address="127.0.0.1", is_service=True)],
    "total_count": 1,
    "replicas": [],
    "suspects": [],
}
UNREACHABLE = CLUSTER | {
    "state": "unreachable",
    "message": "The cluster at 192.168.1.10:6379 does not answer",
    "action": "Check that its head runs: foundrylocal cluster status.",
    "nodes": [],
    "total_count": 0,
}


def answer_with(page: Page, answer: dict[str, Any]) -> str:
    """Let /cluster answer this on the next page; returns what takes it back."""
    source = (
        "(() => { const real = window.fetch; window.fetch = (url, ...rest) => String(url).endsWith('/cluster')"
        f" ? Promise.resolve(new Response({json.dumps(json.dumps(answer))})) : real(url, ...rest); }})()"
    )
    return str(page.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"])


def opened(page: Page, service: Service, answer: dict[str, Any]) -> None:
    script = answer_with(page, answer)
    page.open("about:blank")
    page.open(f"{service.root}/#/cluster")
    page.until("the page", "document.querySelector('fl-cluster > * > *')")
    page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_machines_and_replicas_are_shown_with_what_is_wrong_about_them(page: Page, service: Service) -> None:
    opened(page, service, CLUSTER)
    page.shows("Connected to 192.168.1.10:6379", "main")
    machines = page.text("fl-cluster .card:nth-of-type(1)")
    assert "this machine" in machines and "24.0 GB of 32.0 GB" in machines
    assert "It has not answered for 6 s." in machines and "another version: gets no models" in machines
    assert "2 suspects: 192.168.1.11, r-2" in page.text("main")
    replicas = page.text("fl-cluster .card:nth-of-type(2)")
    assert "1 of 4 busy" in replicas and "gets no requests until" in replicas
    page.shows("Cluster", ".rail nav")


def test_a_cluster_that_does_not_answer_says_so_and_what_to_do(page: Page, service: Service) -> None:
    opened(page, service, UNREACHABLE)
    page.shows("does not answer", "[role=alert]")
    page.shows("foundrylocal cluster status", "[role=alert]")
    assert "1 of 4 busy" in page.text("fl-cluster")


@pytest.mark.parametrize("width", [1300, 360])
def test_one_machine_is_told_how_to_add_another(page: Page, service: Service, width: int) -> None:
    page.size(width)
    opened(page, service, ALONE)
    page.shows("foundrylocal cluster head", "main")
    page.shows("foundrylocal cluster join", "main")
    assert page.eval("document.documentElement.scrollWidth - innerWidth") <= 0
    page.eval("location.hash = '#/overview'")
    page.until("the overview", "document.querySelector('fl-overview')")
    page.until("no link to it", "!document.querySelector('.rail a[href=\"#/cluster\"]')")
