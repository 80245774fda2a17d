"""What the page holds is bounded: two thousand models, a day of events, a log that never ends."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.running import Service

MANY_MODELS = """
(async () => {
  const {store} = await import('/ui/dashboard/core/store.js');
  const one = store.state.models[0];
  store.set({models: Array.from({length: 2000}, (_, index) => ({...one, model_id: `me/Model-${index}-Q8_0-GGUF`,
    simple_name: `Model-${index}-Q8_0-GGUF`, quantization: 'Q8_0', is_downloaded: true}))});
})()
"""
A_DAY_OF_REQUESTS = """
(async () => {
  const {noteRequests} = await import('/ui/dashboard/core/requests.js');
  const {store} = await import('/ui/dashboard/core/store.js');
  const entry = (index) => ({id: `req-${index}`, at: new Date(1e12 + index * 1000).toISOString(),
    model: 'm', key: 'k', endpoint: '/v1/chat/completions', status: 'ok', total_ms: 5, tokens_out: 5, tokens_in: 5});
  for (let index = 0; index < 86400; index += 10) {
    const recent = Array.from({length: 10}, (_, at) => entry(index + 9 - at));
    noteRequests({running: [], recent, ended_count: index + 10});
  }
  return store.state.requests.size;
})()
"""
A_FLOOD_OF_LINES = """
(async () => {
  const view = document.querySelector('fl-log-view');
  const same = {timestamp: '2026-01-01T00:00:00Z', level: 'INFO', source: 'API'};
  const line = (index) => ({...same, message: `line ${index}`});
  for (let batch = 0; batch < 200; batch += 1) {
    view.add(Array.from({length: 100}, (_, at) => line(batch * 100 + at)));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const rows = view.querySelectorAll('.log-line');
  return [view.lines.length, rows.length <= 5000 && rows.length > 4800, rows[rows.length - 1].textContent];
})()
"""

# Large sorts, and changes of what the order depends on (the machine's free memory may change at any time).
COUNT_SORTS = """
(async () => {
  const {store} = await import('/ui/dashboard/core/store.js');
  const {fitBasis} = await import('/ui/dashboard/core/models.js');
  const {sort} = Array.prototype;
  let before = fitBasis();
  Object.assign(window, {sorts: 0, reasons: 0});
  Array.prototype.sort = function (...how) {
    if (this.length > 500) window.sorts += 1;
    return sort.apply(this, how);
  };
  store.subscribe(() => {
    const now = fitBasis();
    if (now.some((one, index) => one !== before[index])) window.reasons += 1;
    before = now;
  });
  // What was changed before is drawn first.
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  window.sorts = 0;
})()
"""


def test_scrolling_and_typing_do_not_sort_two_thousand_models_again(board: Page) -> None:
    board.eval("location.hash = '#/models?sort=name'")
    board.until("the list", "document.querySelectorAll('[data-row]').length === 2")
    board.eval(MANY_MODELS)
    board.shows("2,000 models", "main")
    board.eval(COUNT_SORTS)
    for top in range(0, 20000, 1000):
        board.eval(f"scrollTo(0, {top}); new Promise((resolve) => requestAnimationFrame(resolve))")
    board.eval("document.querySelector('[data-filter]').focus()")
    for letter in "model":
        board.press(letter)
    assert board.eval("document.querySelector('[data-filter]').value") == "model"
    sorts, reasons = board.eval("[window.sorts, window.reasons]")
    assert sorts <= reasons


def test_two_thousand_models_are_a_few_rows(board: Page) -> None:
    board.eval("location.hash = '#/models'")
    board.until("the list", "document.querySelectorAll('[data-row]').length === 2")
    board.eval(MANY_MODELS)
    board.shows("2,000 models", "main")
    assert board.eval("document.querySelectorAll('[data-row]').length") < 100
    board.eval("scrollTo(0, document.documentElement.scrollHeight)")
    board.shows("Model-1999", "main")
    assert board.eval("document.querySelectorAll('[data-row]').length") < 100
    board.eval("scrollTo(0, 0)")
    board.eval("document.querySelector('[data-filter]').focus()")
    board.type("model-1234")
    board.shows("Showing 1 of 2000", "main")


@pytest.mark.timeout(240)
def test_a_day_of_requests_leaves_a_thousand(board: Page, service: Service) -> None:
    board.eval("location.hash = '#/logs'")
    board.until("the log", "document.querySelector('fl-log-view')")
    assert board.eval(A_DAY_OF_REQUESTS) == 1000


def test_a_flood_of_lines_leaves_five_thousand(board: Page) -> None:
    board.eval("location.hash = '#/logs'")
    board.until("the log", "document.querySelector('fl-log-view .log-line')")
    kept, is_bounded, last = board.eval(A_FLOOD_OF_LINES)
    assert (kept, is_bounded) == (5000, True) and "line 19999" in last


def test_a_filter_draws_what_is_seen_first(board: Page) -> None:
    board.eval("location.hash = '#/logs'")
    board.until("the log", "document.querySelector('fl-log-view .log-line')")
    board.eval(A_FLOOD_OF_LINES)
    shown = "document.querySelectorAll('.log-line').length"
    at_once = f"((view) => {{ view.filter = view.isShown; return {shown}; }})(document.querySelector('fl-log-view'))"
    assert 0 < board.eval(at_once) <= 200
    board.until("the older lines", f"{shown} === 5000")
    texts = "[...document.querySelectorAll('.log-line')].map((one) => one.textContent)"
    first, *_, last = board.eval(texts)
    assert "line 15000" in first and "line 19999" in last
    end = "((box) => box.scrollHeight - box.scrollTop - box.clientHeight)(document.querySelector('.log-box'))"
    assert board.eval(end) < 40


def test_streams_end_with_their_screen_and_their_page(board: Page, service: Service) -> None:
    for _ in range(8):
        board.eval("location.hash = '#/logs'")
        board.until("the log", "document.querySelector('fl-log-view .log-line')")
        board.eval("location.hash = '#/overview'")
        board.until("the overview", "document.querySelector('fl-overview')")
        board.open(f"{service.root}/docs")
        board.until("the endpoints", "document.querySelector('article')")
        board.open(service.root)
        board.until("the dashboard", "document.querySelector('fl-overview .card')")
