// <fl-overview>: what runs, what it takes, how to connect, the last requests and the last problem.

import { unloadAll } from '../core/actions.js';
import { get } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { ago, clock, count, date, milliseconds, rate } from '../core/format.js';
import { shortName } from '../core/models.js';
import { newestFirst } from '../core/requests.js';
import { href } from '../core/router.js';
import { store } from '../core/store.js';
import { button, card, empty, errorBox, skeleton } from '../parts/controls.js';
import { diskBar, gpuBars, memoryBar } from '../parts/memory-bar.js';
import { requestState } from '../parts/request-state.js';
import '../parts/connect-box.js';
import '../parts/first-steps.js';
import '../parts/loaded-models.js';

const MAX_REQUESTS = 10;

class Overview extends View {
  start() {
    this.dismissed = null;
    // What a GPU has is not in the events: asking its driver may take long.
    get('/machine').then((machine) => {
      this.gpus = machine.gpus;
      this.update();
    }).catch(() => {});
  }

  #problem() {
    const error = store.state.server?.last_error;
    const isShown = Object.values(store.state.jobs).some((job) => job.error?.message === error?.message);
    if (!error || isShown || this.dismissed === error.message) return null;
    const at = store.state.server.last_error_at;
    return card('Last problem', { key: 'problem', actions: at && h('span', { class: 'muted small', title: `${date(at)}, ${clock(at)}` }, ago(at)) }, errorBox({ ...error, details: [error.details, error.reason].filter(Boolean).join(' ') }, [
      h('a', { class: 'button', href: href('logs', null, { level: 'WARNING' }) }, 'Show in log'),
      button('Dismiss', () => { this.dismissed = error.message; this.draw(); }, { kind: 'quiet' })]));
  }

  #requests() {
    const { requests, activity } = store.state;
    if (requests === null) {
      const totals = activity?.totals;
      return card('Requests', { key: 'requests' }, totals
        ? h('dl', { class: 'totals' }, [['Requests', totals.requests], ['Failed', totals.failed], ['Cancelled', totals.cancelled], ['Tokens read', totals.tokens_in], ['Tokens written', totals.tokens_out]]
          .map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, count(value)))))
        : skeleton());
    }
    const shown = newestFirst().slice(0, MAX_REQUESTS);
    return card('Last requests', { key: 'requests', actions: h('a', { href: href('requests') }, 'All requests') }, shown.length
      ? h('div', { class: 'table-wrap' }, h('table', { class: 'cards' }, h('caption', { class: 'for-readers' }, 'Last requests, newest first'),
        h('thead', {}, h('tr', {}, ['Model', 'State', 'When'].map((name) => h('th', { scope: 'col' }, name)), ['First token', 'Speed', 'Total'].map((name) => h('th', { scope: 'col', class: 'number' }, name)))),
        h('tbody', {}, shown.map((one) => h('tr', { key: one.id },
          h('td', { class: 'lead model-cell', title: one.model }, shortName(one.model)), h('td', {}, requestState(one)), h('td', { class: 'nowrap', title: one.at }, ago(one.at)),
          h('td', { class: 'number minor' }, milliseconds(one.first_token_ms)), h('td', { class: 'number' }, rate(one.tokens_per_second)), h('td', { class: 'number minor' }, milliseconds(one.total_ms)))))))
      : empty('No requests yet', h('p', {}, 'Connect an application with the address and the key, or try the chat.')));
  }

  view() {
    const { machine, models, jobs } = store.state;
    if (!machine || !models) return h('div', { class: 'overview' }, card('Loaded models', {}, skeleton(4)), card('Memory and disk', {}, skeleton(4)));
    const isNew = !models.some((one) => one.is_downloaded) && !machine.models.length;
    return h('div', { class: 'overview' },
      isNew && h('fl-first-steps', { key: 'first', class: 'wide' }),
      !(isNew && !Object.keys(jobs).length) && h('div', { class: 'stack', key: 'left' }, card('Loaded models', { actions: machine.models.length > 1 && h('fl-action', { '.label': 'Unload all', '.busy': 'Unloading…', '.kind': 'quiet', '.run': unloadAll }) }, h('fl-loaded-models', {})), this.#problem(), this.#requests()),
      h('div', { class: `stack ${isNew ? 'wide' : ''}`, key: 'right' },
        !isNew && card('Connect an application', { actions: h('a', { href: href('connect') }, 'More') }, h('fl-connect-box', {})),
        card('Memory and disk', {}, memoryBar(machine), gpuBars(this.gpus), diskBar(machine))));
  }
}

customElements.define('fl-overview', Overview);
