// <fl-first-steps>: three ways to begin, on a machine that has no model yet.

import { load } from '../core/actions.js';
import { get } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, plural } from '../core/format.js';
import { fit } from '../core/models.js';
import { go, href } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { button, card, errorBox, progress } from './controls.js';

const STARTER = 'SmolLM2-135M-Instruct-Q4_1-GGUF';

class FirstSteps extends View {
  start() {
    get('/models/importable').then((found) => {
      this.importable = found.models;
      this.update();
    }).catch(() => { this.importable = []; });
  }

  async #tryStarter() {
    if (await load(STARTER)) go('chat', null, { model: STARTER });
  }

  #starter() {
    const model = store.state.models?.find((one) => one.simple_name === STARTER);
    const job = store.state.jobs[STARTER];
    const isBusy = job && !job.error;
    return card('Try the starter model', {},
      h('p', { class: 'muted' }, `SmolLM2 135M runs on any machine and answers quickly. It shows how everything works, but its answers are often wrong.`),
      h('div', { class: 'stack' },
        isBusy && [progress(job.percent, 'Starter model'), h('p', { class: 'muted small' }, job.message)],
        job?.error && errorBox(job.error),
        h('div', { class: 'row' }, button(isBusy ? 'Loading…' : `Download and start (${bytes(model?.file_size_bytes)})`, () => this.#tryStarter(), { kind: 'primary', disabled: !isLive() || isBusy || !model }))));
  }

  #existing() {
    const found = this.importable ?? [];
    const stores = [...new Set(found.map((one) => one.store))].join(', ');
    const size = found.reduce((sum, one) => sum + one.file_size_bytes, 0);
    return card('Use models you already have', {},
      h('p', { class: 'muted' }, found.length ? `${plural(found.length, 'model')} found in ${stores}, ${bytes(size)}. They are used in place; nothing is copied.`
        : 'No models from Ollama, LM Studio, llama.cpp or the Hugging Face cache were found on this machine. You can import a GGUF file.'),
      h('div', { class: 'row' }, h('a', { class: 'button', href: href('models', null, { tab: 'other' }) }, found.length ? 'Show them' : 'Import a file')));
  }

  #catalogue() {
    const { machine, models } = store.state;
    const fitting = (models ?? []).filter((one) => ['fits', 'tight'].includes(fit(one)));
    return card('Find one that fits', {},
      h('p', { class: 'muted' }, machine && models ? `${bytes(machine.memory.free_bytes)} of memory is free for a model: ${fitting.length} of ${models.length} models in the catalogue fit.` : 'The catalogue shows which models fit this machine.'),
      h('div', { class: 'row' }, h('a', { class: 'button', href: href('models', null, { tab: 'catalogue' }) }, 'Open the catalogue')));
  }

  view() {
    return h('div', { class: 'first-steps' }, this.#starter(), this.#existing(), this.#catalogue());
  }
}

customElements.define('fl-first-steps', FirstSteps);
