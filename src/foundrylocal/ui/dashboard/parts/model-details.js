// <fl-model-details>: everything about one model in tabs. Properties: `name`, `listQuery` (to get back to the list).

import { dismissError, load } from '../core/actions.js';
import { get, modelPath, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, count, date, languageName, tokens } from '../core/format.js';
import { can, displayName, findModel, fit, machineModel, purpose, stateOf } from '../core/models.js';
import { href, route } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { button, errorBox, facts, iconButton, outside, skeleton, stateMark, tabs, tag } from './controls.js';
import { mainAction, moreActions, whyBlocked, whyNot } from './model-row.js';
import './connect-box.js';
import './model-log.js';
import './model-memory.js';
import './preset-form.js';

const TABS = [['about', 'About'], ['memory', 'Memory'], ['settings', 'Settings'], ['use', 'Use'], ['log', 'Log']];
const LICENCES = { 'apache-2.0': 'https://www.apache.org/licenses/LICENSE-2.0', mit: 'https://opensource.org/license/mit', gemma: 'https://ai.google.dev/gemma/terms' };

const languages = ({ languages: codes, language_count: claimed }) => codes.map(languageName).join(', ') + (claimed > codes.length ? ` and ${claimed - codes.length} more` : '');

class ModelDetails extends View {
  start() {
    this.onHash = () => this.draw();
    this.onKey = (event) => { if (event.key === 'Escape' && !event.target.closest('input:not([type="range"]), textarea, select, dialog, fl-menu') && !document.querySelector('dialog[open], .drawer')) this.#close(); };
    addEventListener('hashchange', this.onHash);
    addEventListener('keydown', this.onKey);
    this.tabIndex = -1;
    this.focus({ preventScroll: true });
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
    removeEventListener('keydown', this.onKey);
  }

  #close() {
    location.hash = href('models', null, this.listQuery);
    requestAnimationFrame(() => [...document.querySelectorAll('.model-name a')].find((one) => one.hash.includes(encodeURIComponent(this.name)))?.focus());
  }

  /** Ask again when the model came, left or was loaded. */
  #refresh(model) {
    const stamp = `${model?.is_downloaded} ${stateOf(model)[0]}`;
    if (this.stamp === stamp) return;
    this.stamp = stamp;
    post('/config', {}).then(({ aliases }) => { this.aliases = Object.keys(aliases).filter((one) => [this.name, model?.model_id].includes(aliases[one])); }).catch(() => {});
    get(modelPath(this.name)).then((found) => { this.facts = found; this.error = null; })
      .catch((error) => { this.error = error; }).finally(() => this.update());
  }

  #about(model) {
    const found = this.facts;
    if (!found) return this.error ? errorBox(this.error) : skeleton(6);
    const licence = found.license ?? null;
    return [found.problem && errorBox({ message: 'The files are damaged', details: found.problem }),
      facts([
        ['Purpose', purpose(model), found.capabilities.filter((one) => one !== model.purpose).map((one) => [' ', tag(one)])],
        ['Parameters', found.gguf ? count(found.gguf.parameter_count) : model.size],
        ['Family', found.family ?? 'unknown'],
        ['Licence', licence ? (LICENCES[licence] ? outside(licence, LICENCES[licence]) : licence) : 'unknown'],
        found.languages?.length > 0 && ['Languages', languages(found)],
        ['Context', `${tokens(found.context_length)} tokens`],
        ['Download', found.file_size_bytes ? bytes(found.file_size_bytes) : 'unknown'],
        ['On this machine since', found.download_date ? date(found.download_date) : 'not downloaded'],
        found.gguf && ['Architecture', `${found.gguf.architecture}, ${found.gguf.block_count ?? '?'} layers, ${found.gguf.quantization ?? 'mixed'}`],
        found.gguf && ['Chat template', found.gguf.has_chat_template ? 'yes' : 'none: it completes text'],
        ['Full name', h('code', {}, model.model_id)],
        this.aliases?.length > 0 && ['Other names', this.aliases.join(', ')],
        ['Source', outside(found.source.replace('https://', ''), found.source)],
        ...found.files.map((file) => [file.name, bytes(file.size_bytes), file.sha256 && h('div', { class: 'muted small' }, 'sha256 ', h('code', {}, file.sha256))]),
      ]),
      Object.entries(found.options?.reasons ?? {}).map(([name, reason]) => h('p', { key: name, class: 'muted small' }, h('code', {}, name), `: ${reason}`))];
  }

  #tab(tab, model) {
    switch (tab) {
      case 'memory': return h('fl-model-memory', { key: 'memory', '.model': model, '.running': machineModel(this.name) });
      case 'settings': return h('fl-preset-form', { key: 'settings', '.name': this.name });
      case 'use': return h('fl-connect-box', { key: 'use', '.model': this.name, '.full': true });
      case 'log': return h('fl-model-log', { key: 'log', '.name': this.name });
      default: return h('div', { key: 'about', class: 'stack' }, this.#about(model));
    }
  }

  view() {
    const model = findModel(this.name);
    if (!model) return [h('div', { class: 'card-head' }, h('h2', {}, this.name), iconButton('close', 'Close the details', () => this.#close())), errorBox({ message: `There is no model named ${this.name}`, details: 'It may have been deleted. Look for it in the catalogue or on Hugging Face.' }, [h('a', { class: 'button', href: href('models', null, { tab: 'catalogue', find: this.name }) }, 'Look in the catalogue')])];
    this.#refresh(model);
    const { query } = route();
    const wanted = query.get('view') ?? query.get('tab');
    const tab = TABS.some(([id]) => id === wanted) ? wanted : 'about';
    const error = store.state.jobs[this.name]?.error;
    const blocked = whyBlocked(model) ?? (fit(model) === 'no' ? whyNot(model) : null);
    return [
      h('div', { class: 'card-head' }, h('h2', {}, displayName(model), ' ', tag(model.quantization)), iconButton('close', 'Close the details', () => this.#close())),
      h('div', { class: 'row' }, stateMark(...stateOf(model)), h('span', { class: 'row' }, mainAction(model, 'primary'),
        can(model, 'chat') && model.is_downloaded && h('a', { class: 'button', href: href('chat', null, { model: this.name }) }, 'Chat'), moreActions(model))),
      !error && blocked && h('p', { class: 'small field-error' }, `${blocked}.`),
      error && errorBox(error, [button('Try again', () => load(this.name), { disabled: !isLive() }), button('Dismiss', () => dismissError(this.name), { kind: 'quiet' })]),
      tabs('About this model', TABS, tab, (id) => href('models', this.name, { ...this.listQuery, view: id === 'about' ? null : id })),
      this.#tab(tab, model),
    ];
  }
}

customElements.define('fl-model-details', ModelDetails);
