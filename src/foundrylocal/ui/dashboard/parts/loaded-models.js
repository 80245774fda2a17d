// <fl-loaded-models>: the models in memory with what they take and do, and those that are being loaded or failed.

import { dismissError, load, unload } from '../core/actions.js';
import { post, modelPath } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, duration, rate, tokens } from '../core/format.js';
import { can, findModel, purpose, queueOf } from '../core/models.js';
import { recentSpeed } from '../core/requests.js';
import { href } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { button, empty, errorBox, progress, stateMark, tag } from './controls.js';

const TONES = { ready: ['Loaded', 'good'], loading: ['Loading', 'busy'], yielding: ['Making room', 'busy'], draining: ['Unloading', 'busy'] };
const MIN_CONTEXT = 2048;

class LoadedModels extends View {
  start() {
    this.timer = setInterval(() => this.update(), 15_000);
  }

  stop() {
    clearInterval(this.timer);
  }

  /** `copy` is its number among the replicas of its model, `copies` how many there are. */
  #model(one, copy, copies) {
    const model = findModel(one.model) ?? { simple_name: one.model, model_id: one.model_id };
    const queue = queueOf(model);
    const job = store.state.jobs[one.model];
    const [words, tone] = TONES[one.state] ?? [one.state, 'busy'];
    return h('div', { key: one.replica ?? one.model, class: 'loaded-model' },
      h('div', { class: 'loaded-head' },
        h('div', { class: 'row' }, h('a', { href: href('models', one.model), class: 'strong' }, one.model), copies > 1 && tag(`replica ${copy} of ${copies}`), stateMark(job && !job.error ? job.what : words, tone)),
        h('div', { class: 'row' },
          (can(model, 'chat') || can(model, 'embedding') || can(model, 'rerank')) && h('a', { class: 'button primary small', href: href('chat', null, { model: one.model }), 'aria-label': `Chat with ${one.model}` }, can(model, 'chat') ? 'Chat' : 'Try'),
          h('fl-action', { '.label': one.is_pinned ? 'Pinned' : 'Pin', '.glyph': 'pin', '.kind': 'quiet', '.blocked': one.is_pinned && one.model === store.state.server?.current_model,
            '.name': one.is_pinned ? `Pinned: unpin ${one.model}` : `Pin ${one.model}`, '.run': () => post(modelPath(one.model, '/preset'), { pinned: !one.is_pinned }) }),
          button('Unload', () => unload(one.model, queue?.running), { kind: 'plain small', name: `Unload ${one.model}`, disabled: !isLive() || one.state !== 'ready' }))),
      h('dl', { class: 'figures' }, [
        ['Purpose', purpose(model).toLowerCase()],
        ['Memory', `${bytes(one.memory_bytes || one.estimated_bytes)}${one.memory_bytes ? ` of ${bytes(one.estimated_bytes)} planned` : ' planned'}`],
        ['Context', `${tokens(one.context_size)} tokens`],
        ['Slots', queue ? `${queue.running} of ${queue.slots} busy${queue.waiting ? `, ${queue.waiting} waiting` : ''}` : `0 of ${one.parallel} busy`],
        ['Speed, last minute', rate(recentSpeed(one.model))],
        ['Unloads', one.is_pinned ? (one.model === store.state.server?.current_model ? 'never: current model' : 'never: pinned') : one.unloads_at ? `in ${duration(Math.max(0, (new Date(one.unloads_at) - Date.now()) / 1000))}` : queue?.running ? 'not while answering' : 'never'],
      ].map(([name, value]) => h('div', { key: name, class: 'figure' }, h('dt', {}, name), h('dd', {}, value)))),
      job?.error && errorBox(job.error, [button('Dismiss', () => dismissError(one.model), { kind: 'quiet' })]));
  }

  #job([name, job]) {
    const half = Math.floor((findModel(name)?.context_length ?? 8192) / 4);
    return h('div', { key: `job ${name}`, class: 'loaded-model' },
      h('div', { class: 'loaded-head' }, h('a', { href: href('models', name), class: 'strong' }, name), stateMark(job.error ? 'Failed' : job.what, job.error ? 'bad' : 'busy')),
      job.error
        ? errorBox(job.error, [
          button('Try again', () => load(name), { disabled: !isLive() }),
          half >= MIN_CONTEXT && button('Smaller context', () => load(name, { context_size: MIN_CONTEXT }), { disabled: !isLive() }),
          h('a', { class: 'button', href: href('logs', null, { text: name }) }, 'Log'),
          button('Dismiss', () => dismissError(name), { kind: 'quiet' })])
        : [progress(job.percent, `${job.what} ${name}`), h('p', { class: 'muted small' }, job.message)]);
  }

  view() {
    const models = store.state.machine?.models ?? [];
    const jobs = Object.entries(store.state.jobs).filter(([name]) => !models.some((one) => one.model === name));
    if (!models.length && !jobs.length) {
      return empty('No model is loaded', h('p', {}, 'While the server is running, a request to the gateway loads the current model automatically.'),
        h('a', { class: 'button', href: href('models') }, 'Choose a model'));
    }
    const copiesOf = (one, until = models.length) => models.slice(0, until).filter((other) => other.model === one.model).length;
    return [jobs.map((job) => this.#job(job)), models.map((one, index) => this.#model(one, copiesOf(one, index + 1), copiesOf(one)))];
  }
}

customElements.define('fl-loaded-models', LoadedModels);
