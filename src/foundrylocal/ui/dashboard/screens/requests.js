// <fl-requests>: the requests since the start with their figures, never their contents.

import { call } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { ago, clock, count, milliseconds, rate } from '../core/format.js';
import { gateway } from '../core/gateway.js';
import { shortName } from '../core/models.js';
import { isFailed, isRunning, newestFirst, quantile } from '../core/requests.js';
import { replace, route } from '../core/router.js';
import { SNIPPETS } from '../core/snippets.js';
import { store } from '../core/store.js';
import { button, card, copyButton, empty, errorBox, facts, skeleton } from '../parts/controls.js';
import { requestChart } from '../parts/request-chart.js';
import { requestState } from '../parts/request-state.js';

const FIELDS = ['id', 'at', 'model', 'endpoint', 'key', 'status', 'queue_ms', 'load_ms', 'prefill_ms', 'first_token_ms', 'tokens_in', 'tokens_cached', 'tokens_out', 'tokens_per_second', 'total_ms', 'client', 'error'];
const ROWS = 200;
const searched = new WeakMap();

/** What the text filter looks in, in lower case; an ended request never changes. */
function searchText(one) {
  if (!searched.has(one)) searched.set(one, JSON.stringify(one).toLowerCase());
  return searched.get(one);
}

/** An error's message is left out of the record where it could quote the request. */
const errorOf = ({ code, message }) => (message ? { message } : { message: `Failed with ${code}`, details: 'The message may quote the request, so it is not kept. The client received it.' });

class Requests extends View {
  start() {
    this.rows = ROWS;
    this.onHash = () => this.draw();
    addEventListener('hashchange', this.onHash);
    gateway().then((where) => { this.where = where; this.update(); }).catch(() => {});
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
  }

  #filter() {
    const { query } = route();
    return { model: query.get('model') ?? '', key: query.get('key') ?? '', failed: query.get('failed') === '1', text: (query.get('find') ?? '').toLowerCase(), open: route().name };
  }

  #change(fields) {
    const { model, key, failed, text } = this.#filter();
    replace('requests', null, { model, key, failed: failed ? '1' : null, find: text, ...fields });
  }

  #totals(all) {
    const totals = store.state.activity?.totals ?? {};
    const first = all.map((one) => one.first_token_ms);
    const speeds = all.map((one) => one.tokens_per_second);
    const rows = [['Requests', count(totals.requests)], ['Failed', count(totals.failed)], ['Cancelled', count(totals.cancelled)], ['Tokens read', count(totals.tokens_in)], ['Tokens written', count(totals.tokens_out)],
      ['First token, median', milliseconds(quantile(first, 0.5))], ['First token, p95', milliseconds(quantile(first, 0.95))], ['Speed, median', rate(quantile(speeds, 0.5))], ['Speed, slowest 5%', rate(quantile(speeds, 0.05))]];
    return h('dl', { class: 'totals' }, rows.map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value))));
  }

  #tools(all, { model, key, failed, text }) {
    const choice = (name, label, values, value) => h('select', { 'aria-label': label, onchange: (event) => this.#change({ [name]: event.target.value }) },
      h('option', { value: '' }, `Any ${label.toLowerCase()}`), [...new Set(values.filter(Boolean))].sort().map((one) => h('option', { key: one, value: one, selected: one === value }, one)));
    return h('div', { class: 'log-tools' }, choice('model', 'Model', all.map((one) => one.model), model), choice('key', 'Key', all.map((one) => one.key), key),
      h('input', { type: 'search', 'data-filter': true, 'aria-label': 'Text', placeholder: 'Path, error, client', value: text, oninput: (event) => this.#change({ find: event.target.value }) }),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: failed, onchange: (event) => this.#change({ failed: event.target.checked ? '1' : null }) }), 'Only failed'),
      button('Export CSV', () => this.#export(all), { kind: 'quiet' }));
  }

  #export(all) {
    const cell = (value) => {
      const text = value == null ? '' : typeof value === 'object' ? value.message ?? value.code : String(value);
      return `"${(/^[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`; // a spreadsheet must not take text for a formula
    };
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([[FIELDS.join(','), ...all.map((one) => FIELDS.map((name) => cell(one[name])).join(','))].join('\r\n')], { type: 'text/csv' }));
    link.download = 'requests.csv';
    link.click();
    URL.revokeObjectURL(link.href);
  }

  #row(one, isOpen) {
    const toggle = () => { this.openId = isOpen ? null : one.id; this.draw(); };
    return [h('tr', { key: one.id, 'data-row': true },
      h('th', { scope: 'row', class: 'lead' }, h('button', { type: 'button', class: 'as-link', 'aria-expanded': String(isOpen), 'aria-label': `Details of the request of ${clock(one.at)}`, title: ago(one.at), onclick: toggle }, clock(one.at))),
      h('td', { class: 'model-cell narrow', title: one.model }, shortName(one.model)), h('td', { class: 'minor mono', title: one.endpoint }, one.endpoint.replace(/^\/v1\//, '')), h('td', { class: 'minor' }, one.key ?? '–'), h('td', {}, requestState(one)),
      h('td', { class: 'number minor' }, milliseconds(one.queue_ms)), h('td', { class: 'number minor' }, milliseconds(one.first_token_ms)), h('td', { class: 'number minor' }, `${count(one.tokens_in)}${one.tokens_cached ? ` (${count(one.tokens_cached)})` : ''}`),
      h('td', { class: 'number minor' }, count(one.tokens_out)), h('td', { class: 'number' }, rate(one.tokens_per_second)), h('td', { class: 'number minor' }, milliseconds(one.total_ms)),
      h('td', { class: 'row-cell' }, isRunning(one) && h('fl-action', { '.label': 'End', '.busy': 'Ending…', '.kind': 'plain small', '.name': `End the request of ${clock(one.at)}`, '.run': () => call('DELETE', `/requests/${encodeURIComponent(one.id)}`) }))),
    isOpen && h('tr', { key: `${one.id} open` }, h('td', { colspan: '12' }, one.error && errorBox(errorOf(one.error)),
      facts([['Id', h('code', {}, one.id)], ['Client', one.client ?? 'unknown'], ['Waited', milliseconds(one.queue_ms)], ['Loaded the model', milliseconds(one.load_ms)], ['Read the prompt', milliseconds(one.prefill_ms)], ['Ended with', one.stop_reason ?? one.status]])))];
  }

  #table(shown) {
    const heads = [['Time'], ['Model'], ['Path', 'minor'], ['Key', 'minor'], ['State'], ['Waited', 'number minor'], ['First token', 'number minor'], ['Prompt (cached)', 'number minor'], ['Answer', 'number minor'], ['Speed', 'number'], ['Total', 'number minor'], ['']];
    return h('div', { class: 'table-wrap' }, h('table', { class: 'cards dense' }, h('caption', { class: 'for-readers' }, 'Requests, newest first'),
      h('thead', {}, h('tr', {}, heads.map(([name, kind]) => h('th', { scope: 'col', class: kind }, name || h('span', { class: 'for-readers' }, 'Action'))))),
      h('tbody', {}, shown.slice(0, this.rows).map((one) => this.#row(one, this.openId === one.id)))));
  }

  #none() {
    const line = SNIPPETS.curl({ base: `${this.where?.base ?? 'http://127.0.0.1:1234'}/v1`, key: this.where?.key ?? 'KEY', model: store.state.server?.current_model ?? 'MODEL' });
    return empty('No requests yet', h('p', {}, 'Run this to make the first one:'), h('pre', { tabindex: '0' }, line.replace(this.where?.key ?? 'KEY', 'fl-…')), copyButton(line, { name: 'Copy the curl line' }));
  }

  view() {
    const { requests, activity } = store.state;
    if (!activity) return skeleton(6);
    if (requests === null) return [card('Since the service started', {}, this.#totals([])), empty('This service does not record requests', h('p', {}, 'Totals are above; figures by model are at /metrics.'))];
    const all = newestFirst();
    const filter = this.#filter();
    const shown = all.filter((one) => (!filter.model || one.model === filter.model) && (!filter.key || one.key === filter.key) && (!filter.failed || isFailed(one))
      && (!filter.text || searchText(one).includes(filter.text)));
    return h('div', { class: 'stack' }, card('Since the service started', {}, this.#totals(all), requestChart(all)), all.length ? [this.#tools(all, filter), shown.length ? this.#table(shown) : empty('No request matches'),
      h('p', { class: 'row muted small' }, `${shown.length} of ${all.length} requests. Prompts and answers are not kept.`,
        shown.length > this.rows && button(`Show ${Math.min(ROWS, shown.length - this.rows)} more`, () => { this.rows += ROWS; this.draw(); }, { kind: 'plain small' }))] : this.#none());
  }
}

customElements.define('fl-requests', Requests);
