// Requests a minute for the last hour: a small drawing, and the same numbers as a table for those who cannot see it.

import { h } from '../core/dom.js';
import { isFailed } from '../core/requests.js';

const MINUTES = 60;
const [WIDTH, HEIGHT] = [600, 90];

/** Counts by minute, oldest first. */
export function byMinute(requests, now = Date.now()) {
  const counts = Array.from({ length: MINUTES }, () => ({ all: 0, failed: 0 }));
  for (const one of requests) {
    const age = Math.floor((now - new Date(one.at)) / 60_000);
    if (age < 0 || age >= MINUTES) continue;
    counts[MINUTES - 1 - age].all += 1;
    if (isFailed(one)) counts[MINUTES - 1 - age].failed += 1;
  }
  return counts;
}

export function requestChart(requests) {
  const counts = byMinute(requests);
  const most = Math.max(1, ...counts.map((one) => one.all));
  const slot = WIDTH / MINUTES;
  const total = counts.reduce((sum, one) => sum + one.all, 0);
  const rows = counts.map((one, index) => ({ ...one, ago: MINUTES - 1 - index })).filter((one) => one.all);
  return h('figure', {},
    h('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `Requests per minute in the last hour: ${total} in all, at most ${most} per minute` },
      h('line', { x1: '0', x2: String(WIDTH), y1: String(HEIGHT - 1), y2: String(HEIGHT - 1) }),
      counts.map((one, index) => {
        const [all, failed] = [one.all, one.failed].map((number) => (number / most) * (HEIGHT - 8));
        return h('g', { key: index }, one.all > 0 && h('rect', { x: String(index * slot + 1), width: String(slot - 2), y: String(HEIGHT - all - 1), height: String(all) }),
          one.failed > 0 && h('rect', { class: 'failed', x: String(index * slot + 1), width: String(slot - 2), y: String(HEIGHT - failed - 1), height: String(failed) }));
      })),
    h('figcaption', { class: 'split muted small' }, h('span', {}, '60 min ago'), h('span', {}, total ? `${total} requests, at most ${most} per minute` : 'no requests'), h('span', {}, 'now')),
    h('details', { class: 'small' }, h('summary', {}, 'As a table'), h('table', {}, h('caption', { class: 'for-readers' }, 'Requests by minute'), h('thead', {}, h('tr', {}, ['Minutes ago', 'Requests', 'Failed'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, rows.map((one) => h('tr', { key: one.ago }, h('td', {}, String(one.ago)), h('td', {}, String(one.all)), h('td', {}, String(one.failed))))))));
}
