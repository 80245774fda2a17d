// Keeps the keyboard's place: when a redraw removes the focused control, the next one that is left gets the focus.

const FOCUSABLE = 'a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary';

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
  // A control that only moved comes first: moving it took its focus.
  const heir = [focused, ...before.slice(at + 1), ...before.slice(0, Math.max(0, at)).reverse()].find((one) => one.isConnected && !one.disabled);
  heir?.focus({ preventScroll: true });
}
