// Keeps the keyboard's place: when a redraw removes the focused control, the next one that is left gets the focus; and what
// covers the page keeps the focus inside.

const FOCUSABLE = 'a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary';

/** Let Tab go round inside `part`, which covers what is beneath it; for its `keydown`. */
export function cycleTab(event, part) {
  if (event.key !== 'Tab') return;
  const all = [...part.querySelectorAll(FOCUSABLE)];
  const [from, to] = event.shiftKey ? [all[0], all.at(-1)] : [all.at(-1), all[0]];
  if (document.activeElement !== from) return;
  event.preventDefault();
  to.focus();
}

/** Run `redraw`, which changes what is inside `part`, without losing the focus if it was there. */
export function keepFocus(part, redraw) {
  const focused = document.activeElement;
  if (focused === document.body || focused === part || !part.contains(focused)) {
    redraw();
    return;
  }
  const before = [...part.querySelectorAll(FOCUSABLE)];
  redraw();
  if (document.activeElement !== document.body) return;
  const at = before.indexOf(focused);
  if (at < 0) return; // a panel or a heading: whoever removed it knows where to go
  // A control that only moved comes first: moving it took its focus.
  const heir = [focused, ...before.slice(at + 1), ...before.slice(0, Math.max(0, at)).reverse()].find((one) => one.isConnected && !one.disabled);
  (heir ?? part.querySelector(FOCUSABLE))?.focus({ preventScroll: true });
}
