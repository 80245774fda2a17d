// Faults of the layout that is shown: controls that overlap, leave the window, are too small, or are cut off.
((min) => {
  const isShown = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length && !one.closest('.for-readers, .spacer');
  const all = [...document.querySelectorAll('button, select, textarea, input, summary, .button, .rail nav a, .tabs a, .check')]
    .filter((one) => isShown(one) && !(one.matches('input') && one.closest('label')) && !one.closest('.cards thead'));
  const name = (one) => `${one.localName}.${one.className} "${(one.getAttribute('aria-label') ?? one.textContent ?? '').trim().slice(0, 40)}"`;
  const boxes = all.map((one) => ({ one, box: one.getBoundingClientRect() }));
  const faults = [];
  const isFixed = (one) => one.closest('.rail, .top, .composer, .save-bar, .sticky-foot, .panel, .drawer, dialog, thead, .log-more, .chat-side');
  const scrolls = (one) => one.closest('.tabs, .chips, .table-wrap, .log-box, pre');
  for (const { one, box } of boxes) {
    const least = one.matches('[type=checkbox]') ? min === 44 ? 24 : 16 : min; // its label can be pressed too
    if (Math.min(box.width, box.height) < least - 0.5) faults.push(`${name(one)} is ${Math.round(box.width)} x ${Math.round(box.height)}`);
    if ((box.left < -1 || box.right > innerWidth + 1) && !scrolls(one)) faults.push(`${name(one)} leaves the window`);
  }
  for (const cell of document.querySelectorAll('td, tbody th')) {
    if (!isShown(cell) || getComputedStyle(cell).overflowX === 'hidden') continue;
    if (cell.scrollHeight > cell.clientHeight + 2 || cell.scrollWidth > cell.clientWidth + 2) faults.push(`${name(cell)} does not fit into its cell`);
  }
  for (let at = 0; at < boxes.length; at += 1) {
    for (const { one, box } of boxes.slice(at + 1)) {
      const [other, his] = [boxes[at].one, boxes[at].box];
      if (other.contains(one) || one.contains(other) || isFixed(one) !== isFixed(other)) continue;
      const width = Math.min(box.right, his.right) - Math.max(box.left, his.left);
      const height = Math.min(box.bottom, his.bottom) - Math.max(box.top, his.top);
      if (width > 2 && height > 2) faults.push(`${name(one)} overlaps ${name(other)}`);
    }
  }
  for (const one of document.querySelectorAll('.button span, .chip, .tag, .tabs a, h1, h2, th, dt, label, .state')) {
    if (!isShown(one) || one.closest('.state-pill, .model-table, .cards thead')) continue;
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && getComputedStyle(one).overflowX !== 'visible') faults.push(`${name(one)} is cut off`);
  }
  return faults;
})
