// <fl-preset-form>: the settings of one model: the value in force, where it comes from, and what is saved. Property: `name`.

import { reload } from '../core/actions.js';
import { announce } from '../core/announce.js';
import { ApiError, call, getIfThere, modelPath, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { machineModel } from '../core/models.js';
import { description, fromText, shapeOf, toText } from '../core/schema.js';
import { isLive } from '../core/store.js';
import { ask } from './dialogs.js';
import { button, errorBox, skeleton } from './controls.js';
import './load-at-start.js';
import { valueField } from './value-field.js';

const SECTIONS = [
  ['Loading', ['context_size', 'parallel', 'gpu_layers', 'threads', 'kv_cache_type', 'idle_unload_seconds', 'pinned']],
  ['Answers', ['system_prompt', 'temperature', 'top_p', 'top_k', 'min_p', 'repeat_penalty', 'max_tokens', 'stop']],
  ['More', ['speculative', 'engine', 'lora', 'presence_penalty', 'frequency_penalty', 'seed', 'chat_template_kwargs']],
];
const LABELS = { context_size: 'Context (tokens)', parallel: 'Parallel requests', gpu_layers: 'GPU layers', threads: 'CPU threads', kv_cache_type: 'KV cache type', idle_unload_seconds: 'Unload when idle for (seconds)',
  pinned: 'Pinned: never unloaded for another model', system_prompt: 'System prompt', top_p: 'Top P', top_k: 'Top K', min_p: 'Min P', max_tokens: 'Max tokens per answer', stop: 'Stop sequences', speculative: 'Speculative decoding', lora: 'LoRA adapters', chat_template_kwargs: 'Chat template arguments' };
const SOURCES = { preset: 'saved for this model', setting: 'global setting', model: 'the model’s own file', auto: 'chosen for this machine', request: 'this start', default: 'default' };
const LONG = ['system_prompt', 'stop', 'lora', 'chat_template_kwargs'];

const label = (name) => LABELS[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' ');

class PresetForm extends View {
  start() {
    this.edited = {};
    this.errors = {};
    this.#read();
  }

  async #read() {
    try {
      const [preset, document_] = await Promise.all([getIfThere(modelPath(this.name, '/preset')), description()]);
      this.all = document_.components.schemas;
      this.fields = this.all.PresetBody?.properties ?? {};
      this.preset = preset ?? 'none';
    } catch (error) {
      this.error = error;
    }
    this.update();
  }

  #changes() {
    const changes = {};
    this.errors = {};
    for (const [name, text] of Object.entries(this.edited)) {
      try {
        changes[name] = typeof text === 'boolean' ? text : name === 'system_prompt' ? text || null : LONG.includes(name) && !text.trim() ? null : fromText(text, shapeOf(this.fields[name], this.all));
      } catch (error) {
        this.errors[name] = error.message;
      }
    }
    return changes;
  }

  async #save() {
    const changes = this.#changes();
    this.error = null;
    if (Object.keys(this.errors).length) {
      this.draw();
      return null;
    }
    try {
      const answer = await post(modelPath(this.name, '/preset'), changes);
      this.preset = answer;
      this.edited = {};
      announce('Saved for this model');
      return answer;
    } catch (error) {
      const [, name, words] = /^(\w+)[.\w]*: (.*)$/.exec(error.details ?? '') ?? [];
      const field = error instanceof ApiError && error.param in this.fields ? error.param : name;
      if (field in this.fields) this.errors[field] = words ?? error.details ?? error.message;
      else this.error = error;
      return null;
    } finally {
      this.draw();
    }
  }

  async #saveForLater() {
    const answer = await this.#save();
    return answer && (Object.values(answer.applies ?? {}).includes('next_load') && machineModel(this.name) ? 'Saved. It takes effect at the next load' : 'Saved');
  }

  async #saveAndReload() {
    return (await this.#save()) && await reload(this.name) ? 'Reloaded' : null;
  }

  async #reset() {
    if (!await ask({ title: `Back to defaults for ${this.name}?`, yes: 'Back to defaults', body: h('p', {}, `These saved values are removed: ${Object.keys(this.preset.saved).map(label).join(', ')}.`) })) return null;
    await call('DELETE', modelPath(this.name, '/preset'));
    await this.#read();
    return 'The model is back at its defaults';
  }

  #row(name) {
    const { saved, effective, sources } = this.preset;
    const inForce = effective[name];
    const running = machineModel(this.name)?.[name];
    const where = sources[name] && (SOURCES[sources[name]] ?? sources[name]);
    const words = inForce === true ? 'yes' : inForce === false ? 'no' : toText(inForce) || null;
    const source = words ? `In force: ${words}${where ? ` (${where})` : ''}` : where ? `${where[0].toUpperCase()}${where.slice(1)}` : null;
    const differs = running != null && saved[name] != null && typeof running !== 'boolean' && running !== saved[name];
    return h('div', { key: name, class: `preset-row ${LONG.includes(name) ? 'long' : ''}` }, h('label', { for: `preset-${name}` }, label(name)),
      valueField({ id: `preset-${name}`, shape: { ...shapeOf(this.fields[name], this.all), isOptional: true }, value: this.edited[name] ?? saved[name], placeholder: words ?? 'default', disabled: !isLive(),
        isWrong: name in this.errors, describedBy: `source-${name}`, onvalue: (text) => { this.edited[name] = text; delete this.errors[name]; this.update(); } }),
      h('span', { class: 'source', id: `source-${name}` }, this.errors[name] ? h('span', { class: 'field-error', role: 'alert' }, this.errors[name]) : source ?? 'The model’s default',
        differs && ` · running with ${toText(running)}, saved is ${toText(saved[name])}`));
  }

  view() {
    if (!this.preset) return this.error ? errorBox(this.error) : skeleton(8);
    if (this.preset === 'none') return h('p', { class: 'muted' }, 'This service has no per-model settings. The global ones are under Settings.');
    const count = Object.keys(this.edited).length;
    const isRunning = Boolean(machineModel(this.name));
    return [h('fl-load-at-start', { key: 'start', '.name': this.name }), SECTIONS.map(([title, names]) => h('section', { key: title }, h('h3', {}, title), names.filter((name) => name in this.fields).map((name) => this.#row(name)))),
      errorBox(this.error),
      h('div', { class: 'row sticky-foot' }, h('fl-action', { '.label': 'Save for next load', '.busy': 'Saving…', '.kind': 'primary', '.blocked': !count, '.run': () => this.#saveForLater() }),
        isRunning && h('fl-action', { '.label': 'Save and reload now', '.busy': 'Reloading…', '.run': () => this.#saveAndReload() }),
        button('Discard', () => { this.edited = {}; this.errors = {}; this.draw(); }, { disabled: !count }),
        h('fl-action', { '.label': 'Back to defaults', '.kind': 'quiet', '.blocked': !Object.keys(this.preset.saved).length, '.run': () => this.#reset() }))];
  }
}

customElements.define('fl-preset-form', PresetForm);
