"""What the page tells screen readers: the words of its polite region, in order."""

from __future__ import annotations

import json

from tests.browser.page import Page

_LISTEN = """
(() => {
  if (window.said) return void (window.said.length = 0);
  window.said = [];
  const region = document.querySelector('#announcer');
  new MutationObserver(() => { if (region.textContent) said.push(region.textContent); })
    .observe(region, {childList: true, characterData: true, subtree: true});
})()
"""


def listen(page: Page) -> None:
    page.eval(_LISTEN)


def hears(page: Page, words: str) -> None:
    """Wait until something with these words was said."""
    page.until(f"'{words}' to be said", f"window.said.some((one) => one.includes({json.dumps(words)}))")
