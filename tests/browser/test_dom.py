"""How descriptions become elements: what stays is the same element, and is not moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.page import Page

# Draws `before`, then `after`: which elements of the first drawing are left, in order, and
# how often its custom elements were connected.
SCRIPT = """
(async () => {
  const {h, patch} = await import('/ui/dashboard/core/dom.js');
  window.connected = 0;
  if (!customElements.get('test-part')) {
    customElements.define("test-part", class extends HTMLElement {
      connectedCallback() { window.connected += 1; }
    });
  }
  const part = (name) => h('test-part', {title: name});
  const [before, after] = [() => %s, () => %s];
  const place = document.createElement('div');
  document.body.append(place);
  patch(place, before());
  for (const [index, node] of [...place.children].entries()) node.number = index;
  patch(place, after());
  const found = [...place.children].map((one) => [one.localName, one.title || one.textContent, one.number ?? null]);
  place.remove();
  return [found, window.connected];
})()
"""


@pytest.fixture
def draw(board: Page) -> Any:
    return lambda before, after: board.eval(SCRIPT % (before, after))


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ("[false, part('a')]", "[h('p', {}, 'new'), part('a')]", [["p", "new", None], ["test-part", "a", 0]]),
        ("[part('x'), part('a')]", "[false, part('a')]", [["test-part", "a", 1]]),
        (
            "[h('p', {}, 'x'), part('a')]",
            "[h('b', {}, 'y'), part('a')]",
            [["b", "y", None], ["test-part", "a", 1]],
        ),
        (
            "[[part('1'), false], part('a')]",
            "[[part('1'), part('2')], part('a')]",
            [["test-part", "1", 0], ["test-part", "2", None], ["test-part", "a", 1]],
        ),
        ("h('p', {}, 'x')", "h('p', {}, 'y')", [["p", "y", 0]]),
    ],
    ids=["a sibling comes", "a sibling goes", "another tag", "a list grows", "the text changes"],
)
def test_an_element_stays_when_its_siblings_change(
    draw: Any, before: str, after: str, left: list[Any]
) -> None:
    found, connected = draw(before, after)
    assert found == left
    expected = before.count("part(") + sum(name == "test-part" and number is None for name, _, number in left)
    assert connected == expected, "an element was moved"


def test_elements_with_keys_are_found_wherever_they_are(draw: Any) -> None:
    keyed = "['a', 'b', 'c'].map((one) => h('p', {key: one}, one))"
    found, _ = draw(keyed, keyed.replace("'a', 'b', 'c'", "'c', 'a'"))
    assert found == [["p", "c", 2], ["p", "a", 0]]
