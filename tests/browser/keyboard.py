"""A person who uses the keyboard alone: Tab to a control, press it, and never lose sight of the focus.

Invariant: each control that the focus passes is in the window, not covered, and has a visible ring.
"""

from __future__ import annotations

import json

from tests.browser.page import Page

MAX_TABS = 160
_LOOK = """
(async () => {
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const words = `${node.textContent} ${node.getAttribute('aria-label') ?? ''}`;
  const shown = node.classList.contains('for-readers') ? node.closest('label') ?? node : node;
  const box = shown.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + Math.min(box.width / 2, 20), box.y + Math.min(box.height / 2, 20));
  const has_ring = [node, node.parentElement, node.closest('.composer-box, .palette, label')].some((one) => one
    && getComputedStyle(one).outlineStyle !== 'none' && parseFloat(getComputedStyle(one).outlineWidth) >= 1);
  return {
    fits: node.matches(%s) && words.includes(%s), has_ring,
    is_seen: Boolean(at) && (shown.contains(at) || at.contains(shown)),
    what: `${node.localName}#${node.id} ${words.trim().slice(0, 60)}`,
  };
})()
"""


class Keyboard:
    """Presses keys only; what it passes must be visible."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.press(key)

    def to(self, selector: str, words: str = "", *, back: bool = False) -> None:
        """Tab (or Shift+Tab) until the control that matches and contains the words has the focus."""
        look = _LOOK % (json.dumps(selector), json.dumps(words))
        passed: list[str] = []
        for _ in range(MAX_TABS):
            self.page.press("Tab", shift=back)
            seen = self.page.eval(look)
            if seen is None:  # between the last control and the first
                continue
            passed.append(seen["what"])
            assert seen["has_ring"], f"no visible focus on {seen['what']}"
            assert seen["is_seen"], f"the focus is covered or outside the window: {seen['what']}"
            if seen["fits"]:
                return
        raise AssertionError(f"no Tab leads to {selector} {words!r}; passed: {passed}")

    def push(self, selector: str, words: str = "", *, key: str = "Enter", back: bool = False) -> None:
        """Go to a control and press it."""
        self.to(selector, words, back=back)
        self.press(key)

    def choose(self, words: str, menu: str) -> None:
        """Open the ⋯ menu of that name, go to an entry by arrows, and take it."""
        self.push("button", menu)
        self.page.until("the focus in the menu", "document.activeElement.closest('.menu-list')")
        for _ in range(12):
            if words in str(self.page.eval("document.activeElement.textContent")):
                self.press("Enter")
                return
            self.press("ArrowDown")
        raise AssertionError(f"no entry {words!r} in {menu!r}")

    def replace(self, selector: str, text: str) -> None:
        """Go to a field; Tab selects what it holds, so that typing replaces it."""
        self.to(selector)
        self.page.type(text)

    def confirm(self, words: str) -> None:
        """In the dialog that asks: the focus is on Cancel; go to the other button and press it."""
        self.page.until("a dialog", "document.activeElement.closest('dialog')")
        assert self.page.eval("document.activeElement.textContent") == "Cancel"
        self.push("dialog button", words)
        self.page.until("no dialog", "!document.querySelector('dialog')")

    def has_focus(self, selector: str, words: str = "") -> None:
        """The focus is on that control, or arrives there."""
        look = f"document.activeElement.matches({json.dumps(selector)})"
        named = (
            "(document.activeElement.textContent + (document.activeElement.getAttribute('aria-label') ?? ''))"
        )
        self.page.until(
            f"the focus on {selector} {words}", f"{look} && {named}.includes({json.dumps(words)})"
        )

    def has_place(self) -> None:
        """Something has the focus: a redraw did not lose it."""
        assert self.page.eval("document.activeElement !== document.body"), "the focus was lost"
