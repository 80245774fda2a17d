// <fl-system-facts>: versions, engines and their devices, folders with sizes, saved prompts, and stopping the server.

import { call, get, getIfThere, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, plural } from '../core/format.js';
import { store } from '../core/store.js';
import { ask } from './dialogs.js';
import { card, facts, stateMark, tag } from './controls.js';

const ENGINE_TONES = { ready: 'good', missing: 'bad', incompatible: 'bad' };

class SystemFacts extends View {
  start() {
    for (const [name, path] of [['engines', '/engines'], ['cache', '/prompt-cache']]) {
      getIfThere(path).then((found) => { this[name] = found; this.update(); }).catch(() => {});
    }
  }

  async #stop() {
    const running = store.state.activity?.queues.reduce((sum, one) => sum + one.running, 0) ?? 0;
    if (!await ask({ title: 'Stop the server?', yes: 'Stop the server', body: h('p', {}, `All models are unloaded, and applications get no answers until a model is loaded again.${running ? ` ${running} answers are still being written.` : ''} The management API and this page keep running.`) })) return null;
    return (await post('/stop')).message;
  }

  async #emptyCache(size) {
    if (!await ask({ title: 'Empty the prompt cache?', yes: `Delete ${bytes(size)}`, body: h('p', {}, `The saved prompts (${bytes(size)}) are deleted. Long conversations have to be read again once.`) })) return null;
    const { message } = await call('DELETE', '/prompt-cache');
    this.cache = await getIfThere('/prompt-cache');
    return message;
  }

  #engines() {
    const { engines, current } = this.engines;
    return card('Engines', {}, engines.map((one) => h('div', { key: one.name, class: 'result' },
      h('div', { class: 'row' }, h('strong', {}, one.name), one.name === current && tag('in use', 'good'), stateMark(one.state, ENGINE_TONES[one.state] ?? 'idle'), h('span', { class: 'muted small' }, one.version ?? 'version unknown')),
      one.devices.length > 0 && h('p', { class: 'muted small' }, one.devices.map((device) => `${device.name} (${device.kind}, ${bytes(device.memory_bytes)})`).join(', ')),
      one.message && h('p', { class: 'small' }, one.message, one.action && ` ${one.action}`))));
  }

  #doctor() {
    const tones = { ok: 'good', warning: 'warn', error: 'bad' };
    return card('Check this machine', {},
      h('p', { class: 'muted' }, 'Checks folders, disk, memory, ports, the engine, the clock and the connection to Hugging Face.'),
      h('div', { class: 'row' }, h('fl-action', { '.label': 'Check now', '.busy': 'Checking…', '.run': async () => { this.checks = (await get('/doctor')).checks; this.draw(); } })),
      this.checks && h('ul', { class: 'plain-list styles' }, this.checks.map((one) => h('li', { key: one.name }, stateMark(one.status, tones[one.status]), h('span', {}, one.message), one.action && h('span', { class: 'muted small' }, one.action)))));
  }

  view() {
    const { info, machine } = store.state;
    const saved = this.cache?.models;
    const savedBytes = this.cache?.total_bytes;
    return h('div', { class: 'stack' },
      this.engines && this.#engines(),
      this.#doctor(),
      card('System', {},
        facts([
          ['Version', info ? `API ${info.version}` : '…'], ['Engine', info ? `llama.cpp, xllamacpp ${info.foundry_local_version}` : '…'],
          ['Model folder', info && h('code', {}, info.configuration.cache_dir)],
          machine && ['On disk', `${bytes(machine.disk.models_bytes)} models, ${bytes(machine.disk.partial_bytes)} unfinished downloads, ${bytes(machine.disk.free_bytes)} free`],
          info && ['Models', `${plural(info.model_registry.total_models, 'model')} in the registry`],
          saved && ['Saved prompts', `${bytes(savedBytes)} of ${plural(saved.length, 'model')}`],
        ]),
        h('div', { class: 'row' }, saved?.length > 0 && h('fl-action', { '.label': 'Empty the prompt cache…', '.run': () => this.#emptyCache(savedBytes) }), h('fl-action', { '.label': 'Stop the server…', '.busy': 'Stopping…', '.kind': 'danger', '.blocked': store.state.server?.status === 'stopped', '.run': () => this.#stop() })),
        h('p', { class: 'muted small' }, 'To end the service itself, run ', h('code', {}, 'foundrylocal shutdown'), '.')));
  }
}

customElements.define('fl-system-facts', SystemFacts);
