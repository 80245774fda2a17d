// <fl-other-programs>: models that other programs have on this machine, and the import of a file.

import { get, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { readModels } from '../core/live.js';
import { card, empty, errorBox, skeleton } from './controls.js';

const MODES = [['link', 'Use it where it is'], ['copy', 'Copy it'], ['move', 'Move it']];

class OtherPrograms extends View {
  start() {
    this.form = { path: '', name: '', mode: 'link' };
    get('/models/importable').then((found) => { this.found = found.models; }).catch((error) => { this.error = error; }).finally(() => this.update());
  }

  #import(body) {
    return async () => {
      const done = await post('/models/import', body);
      readModels();
      return `Added as ${done.model_name}`;
    };
  }

  #table() {
    if (this.error) return errorBox(this.error);
    if (!this.found) return skeleton();
    if (!this.found.length) return empty('Nothing found', h('p', {}, 'Searched: Ollama, LM Studio, llama.cpp, the Hugging Face cache and the folders in the setting model_folders.'));
    return h('div', { class: 'table-wrap' }, h('table', { class: 'cards' },
      h('caption', { class: 'for-readers' }, 'Models of other programs'),
      h('thead', {}, h('tr', {}, ['Name', 'Program', 'Size', ''].map((name) => h('th', { scope: 'col' }, name || h('span', { class: 'for-readers' }, 'Action'))))),
      h('tbody', {}, this.found.map((one) => h('tr', { key: one.path, 'data-row': true },
        h('th', { scope: 'row', class: 'lead' }, h('div', { class: 'model-name' }, one.name, h('span', { class: 'muted small mono' }, one.path))),
        h('td', {}, one.store), h('td', { class: 'number' }, one.file_size_formatted),
        h('td', { class: 'row-cell' }, h('div', { class: 'row-actions' }, h('fl-action', { '.label': 'Use without copying', '.busy': 'Adding…', '.name': `Use ${one.name} without copying`,
          '.run': this.#import({ path: one.path, mode: 'link', ...(one.projector_path && { projector_path: one.projector_path }) }) }))))))));
  }

  #field(name, label, hint) {
    return h('div', { class: 'field' }, h('label', { for: `import-${name}` }, label),
      h('input', { id: `import-${name}`, value: this.form[name], placeholder: hint, spellcheck: 'false', oninput: (event) => { this.form[name] = event.target.value; this.draw(); } }));
  }

  view() {
    const { path, name, mode } = this.form;
    return h('div', { class: 'stack' }, this.#table(),
      card('Import a file', {}, this.#field('path', 'Path of the GGUF file on this machine', '/home/me/model.gguf'), this.#field('name', 'Name (optional)', 'the name of the file'),
        h('div', { class: 'field' }, h('label', { for: 'import-mode' }, 'What happens to the file'),
          h('select', { id: 'import-mode', onchange: (event) => { this.form.mode = event.target.value; } }, MODES.map(([id, label]) => h('option', { value: id, selected: id === mode }, label)))),
        h('div', { class: 'row' }, h('fl-action', { '.label': 'Import', '.busy': 'Importing…', '.kind': 'primary', '.blocked': !path.trim(), '.run': () => this.#import({ path: path.trim(), mode: this.form.mode, ...(name.trim() && { name: name.trim() }) })() }))));
  }
}

customElements.define('fl-other-programs', OtherPrograms);
