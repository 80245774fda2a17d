// <fl-model-list>: the table of models, grouped by quantization, and drawn only where it is seen.
// Properties: `models` (filtered and sorted; another array when they change), `query` (of the address), `open` (the name whose details are shown).

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { latest } from '../core/memo.js';
import { groupModels } from '../core/models.js';
import { modelRow } from './model-row.js';

const ROW_PX = 58; // until a row was measured
const MARGIN_ROWS = 12;
const COLUMNS = [['name', 'Model'], ['file', 'Size', 'number minor'], ['memory', 'Memory', 'number'], ['context', 'Context', 'number optional minor'], ['license', 'Licence', 'optional minor']];

class ModelList extends View {
  start() {
    this.expanded = new Set();
    this.rowPx = ROW_PX;
    this.onScroll = () => this.update();
    addEventListener('scroll', this.onScroll, { passive: true });
    addEventListener('resize', this.onScroll);
  }

  stop() {
    removeEventListener('scroll', this.onScroll);
    removeEventListener('resize', this.onScroll);
  }

  /** Rows in order: a group's first member, and the others while it is open. */
  #rows = latest((models, expanded) => groupModels(models).flatMap(({ key, models: [first, ...others] }) => {
    const isOpen = expanded.has(key);
    const group = others.length ? { count: others.length + 1, isOpen, toggle: () => this.#toggle(key) } : null;
    return [{ model: first, group }, ...(isOpen ? others.map((model) => ({ model, isIndented: true })) : [])];
  }));

  #toggle(key) {
    const expanded = new Set(this.expanded);
    if (!expanded.delete(key)) expanded.add(key);
    this.expanded = expanded;
    this.draw();
  }

  #visible(total) {
    const table = this.querySelector('tbody');
    const top = table ? table.getBoundingClientRect().top : 200;
    // All rows are of one height but that of an error; where the window is small, of another one.
    const rows = table?.querySelectorAll('tr[data-row]') ?? [];
    if (rows.length) this.rowPx = rows[Math.floor(rows.length / 2)].getBoundingClientRect().height || ROW_PX;
    const from = Math.max(0, Math.floor(-top / this.rowPx) - MARGIN_ROWS);
    return [from, Math.min(total, from + Math.ceil(innerHeight / this.rowPx) + 2 * MARGIN_ROWS)];
  }

  #header([id, label, kind]) {
    const isSorted = this.query.sort === id;
    const sort = isSorted ? (this.query.desc === '1' ? 'descending' : 'ascending') : null;
    return h('th', { scope: 'col', class: kind, 'aria-sort': sort }, h('button', { type: 'button', onclick: () =>
      this.dispatchEvent(new CustomEvent('sort', { detail: { sort: id, desc: isSorted && this.query.desc !== '1' ? '1' : null } })) }, label));
  }

  view() {
    const rows = this.#rows(this.models, this.expanded);
    const [from, to] = this.#visible(rows.length);
    const spacer = (key, count) => count > 0 && h('tr', { key, class: 'spacer', 'aria-hidden': 'true' }, h('td', { colspan: '7', vars: { '--height': `${count * this.rowPx}px` } }));
    return h('div', { class: 'table-clip' }, h('table', { class: 'model-table cards', 'aria-rowcount': String(rows.length) },
      h('caption', { class: 'for-readers' }, 'Models'),
      h('thead', {}, h('tr', {}, COLUMNS.map((column) => this.#header(column)), h('th', { scope: 'col', class: 'state-cell' }, 'State'), h('th', { scope: 'col' }, h('span', { class: 'for-readers' }, 'Actions')))),
      h('tbody', {}, spacer('before', from), rows.slice(from, to).map((row) => modelRow(row.model, { ...row, query: this.query, isOpen: row.model.simple_name === this.open })),
        spacer('after', rows.length - to))));
  }
}

customElements.define('fl-model-list', ModelList);
