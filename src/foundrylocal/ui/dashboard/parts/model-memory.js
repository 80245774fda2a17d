// <fl-model-memory>: what a load would take, by the planner; the sliders ask it again. Properties: `model`, `running`.

import { ApiError, get, modelPath, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, duration, plural, tokens } from '../core/format.js';
import { errorBox, skeleton, tag } from './controls.js';

const WAIT_MS = 150;
const CACHES = ['f16', 'q8_0', 'q4_0'];
const PARTS = [['weights_bytes', 'Weights', 'tone-model'], ['kv_cache_bytes', 'KV cache', 'tone-model-2'], ['compute_bytes', 'Compute buffers', 'tone-model-3']];

class ModelMemory extends View {
  start() {
    this.options = this.running ? { context_size: this.running.context_size, parallel: this.running.parallel } : {};
    this.#ask();
  }

  stop() {
    clearTimeout(this.timer);
  }

  #set(name, value) {
    this.options[name] = value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), WAIT_MS);
    this.draw();
  }

  async #ask() {
    const asked = (this.asked = Symbol('the latest question'));
    try {
      const plan = await this.#plan();
      if (asked === this.asked) [this.plan, this.error] = [plan, null];
    } catch (error) {
      if (asked === this.asked) this.error = error;
    }
    this.update();
  }

  /** The plan; what the details say where the service has no planner. */
  async #plan() {
    try {
      return await post('/plan', { model_name: this.model.simple_name, ...(Object.keys(this.options).length && { options: this.options }) });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404 || error.code === 'model_not_found') throw error;
      const { memory } = await get(modelPath(this.model.simple_name));
      return memory && { isFixed: true, fits: memory.fits_now, memory: { ...memory, needed_bytes: memory.total_bytes, free_bytes: memory.available_bytes },
        effective: { context_size: memory.context_size, parallel: memory.parallel }, unloads: [], warnings: [], refusal: null };
    }
  }

  #slider(name, label, min, max, step, value, words) {
    return h('div', { class: 'slider', key: name }, h('label', { for: `slider-${name}` }, label), h('output', { for: `slider-${name}` }, words),
      h('input', { id: `slider-${name}`, type: 'range', min, max, step, value, 'aria-valuetext': words, oninput: (event) => this.#set(name, name === 'context_size' ? 2 ** Number(event.target.value) : Number(event.target.value)) }));
  }

  #controls(effective) {
    const context = this.options.context_size ?? effective.context_size ?? 4096;
    const most = Math.max(Math.log2(this.model.context_length ?? 32768), 9);
    return h('div', { class: 'stack' },
      this.#slider('context_size', 'Context', '9', String(most), '0.25', String(Math.log2(context)), `${tokens(Math.round(context))} tokens`),
      this.#slider('parallel', 'Parallel requests', '1', '16', '1', String(this.options.parallel ?? effective.parallel ?? 1), plural(this.options.parallel ?? effective.parallel ?? 1, 'slot')),
      'kv_cache_type' in effective && h('div', { class: 'field' }, h('label', { for: 'cache-type' }, 'KV cache type'), h('select', { id: 'cache-type', onchange: (event) => this.#set('kv_cache_type', event.target.value) },
        CACHES.map((one) => h('option', { value: one, selected: one === (this.options.kv_cache_type ?? effective.kv_cache_type) }, one)))));
  }

  view() {
    if (!this.plan) return this.error ? errorBox(this.error) : skeleton(5);
    const { memory, effective, refusal, unloads, warnings, seconds } = this.plan;
    const total = Math.max(memory.needed_bytes, memory.free_bytes) || 1;
    return h('div', { class: 'stack' },
      h('p', { class: 'row', role: 'status' }, h('strong', {}, bytes(memory.needed_bytes)),
        h('span', { class: 'muted' }, `of ${bytes(memory.free_bytes)} free for a model`), refusal ? tag('does not fit', 'bad') : unloads?.length ? tag(`unloads ${unloads.join(', ')}`, 'warn') : tag('fits', 'good')),
      h('div', { class: 'stacked', role: 'img', 'aria-label': PARTS.map(([field, label]) => `${label} ${bytes(memory[field])}`).join(', ') }, PARTS.map(([field, label, tone]) =>
        h('span', { key: field, class: tone, title: label, vars: { '--share': `${(100 * memory[field]) / total}%` } }))),
      h('dl', { class: 'legend' }, PARTS.map(([field, label, tone]) => h('div', { key: field }, h('dt', {}, h('span', { class: `swatch ${tone}` }), label), h('dd', {}, bytes(memory[field]))))),
      refusal && errorBox({ message: refusal.message, details: refusal.details }),
      warnings?.map((words) => h('p', { key: words, class: 'muted small' }, words)),
      this.plan.isFixed ? h('p', { class: 'muted small' }, `With ${tokens(effective.context_size)} tokens of context and ${plural(effective.parallel, 'slot')}.`) : this.#controls(effective),
      this.running && h('p', { class: 'muted small' }, `Running now with ${tokens(this.running.context_size)} tokens: ${bytes(this.running.memory_bytes)} measured, ${bytes(this.running.estimated_bytes)} planned.`),
      seconds?.load > 0 && h('p', { class: 'muted small' }, `Loading takes about ${duration(seconds.load)} (${seconds.basis?.load ?? 'estimated'})${seconds.download ? `, the download before it ${duration(seconds.download)}` : ''}.`),
      errorBox(this.error));
  }
}

customElements.define('fl-model-memory', ModelMemory);
