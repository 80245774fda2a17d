"""What happened: the requests with their errors and as a file, and the log, by addresses that can be kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tests.browser.page import Page
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

MANY_REQUESTS = """
(async () => {
  const {noteRequests} = await import('/ui/dashboard/core/requests.js');
  const entry = (index) => ({id: `req-${index}`, at: new Date(1e12 + index * 1000).toISOString(),
    model: 'm', key: 'k', endpoint: '/v1/chat/completions', status: 'ok', total_ms: 5, tokens_out: 5, tokens_in: 5});
  noteRequests({running: [], recent: Array.from({length: 450}, (_, at) => entry(at)).reverse(), ended_count: 450});
})()
"""
# What the page saves as a file arrives in window.saved.
KEEP_FILES = """
URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return 'blob:kept'; };
HTMLAnchorElement.prototype.click = () => {};
"""


def test_a_failed_request_is_opened_found_and_exported(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as gateway:
            good = {"messages": [{"role": "user", "content": "Hi"}]}
            assert gateway.post("/v1/chat/completions", json=good).status_code == 200
            assert gateway.post("/v1/chat/completions", json={"messages": "=1+1"}).status_code == 400
        page.open(f"{service.root}/#/requests?failed=1")
        page.shows("1 of 2 requests", "main")
        page.click("[data-row] button", "Details of the request")
        page.shows("Failed with invalid_request", "main .error-box")
        page.click("label", "Only failed")
        page.shows("2 of 2 requests", "main")
        assert page.eval("location.hash") == "#/requests"
        page.eval(KEEP_FILES)
        page.click("button", "Export CSV")
        rows = list(csv.DictReader(io.StringIO(str(page.until("the file", "window.saved")))))
        assert sorted(row["status"] for row in rows) == ["failed", "ok"]
        assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())


def test_all_requests_can_be_listed(board: Page) -> None:
    board.eval("location.hash = '#/requests'")
    board.shows("Since the service started", "main")
    board.eval(MANY_REQUESTS)
    rows = "document.querySelectorAll('[data-row]').length"
    board.until("the first rows", f"{rows} === 200")
    board.click("button", "Show 200 more")
    board.until("more rows", f"{rows} === 400")
    board.click("button", "Show 50 more")
    board.until("all rows", f"{rows} === 450")


def test_the_filter_of_the_log_is_in_the_address(board: Page, service: Service) -> None:
    service.start()
    board.eval("location.hash = '#/logs'")
    board.shows("Server started", ".log-box")
    board.eval("document.querySelector('[data-filter]').focus()")
    board.type("Server started")
    board.until("the address", "location.hash === '#/logs?text=Server+started'")
    board.until("that line alone", "document.querySelectorAll('.log-line').length === 1")
    board.eval("location.reload()")
    board.until("the text", "document.querySelector('[data-filter]')?.value === 'Server started'")
    board.until("that line alone", "document.querySelectorAll('.log-line').length === 1")
    board.eval("location.hash = '#/logs?level=ERROR'")
    board.until("no line", "document.querySelectorAll('.log-line').length === 0")
