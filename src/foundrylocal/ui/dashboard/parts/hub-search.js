// <fl-hub-search>: finds GGUF repositories on Hugging Face and imports one of their quantizations.

import { post } from '../core/api.js';
import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, count, plural } from '../core/format.js';
import { readModels } from '../core/live.js';
import { href } from '../core/router.js';
import { empty, errorBox, outside, skeleton, tag } from './controls.js';

class HubSearch extends View {
  start() {
    if (this.words) this.#search(this.words);
  }

  async #search(words) {
    this.words = words;
    this.error = this.found = null;
    this.isBusy = true;
    this.draw();
    try {
      this.found = await post('/models/search', { query: words, limit: 20 });
      announce(`${plural(this.found.total_count, 'repository', 'repositories')} found`);
    } catch (error) {
      this.error = error;
    }
    this.isBusy = false;
    this.draw();
  }

  #repository(one) {
    return h('section', { key: one.repo, class: 'card', 'aria-label': one.repo },
      h('div', { class: 'card-head' }, h('h3', {}, outside(one.repo, `https://huggingface.co/${one.repo}`)),
        h('span', { class: 'muted small' }, [one.license ?? 'licence unknown', one.downloads != null && `${count(one.downloads)} downloads`, one.is_gated && 'requires an account'].filter(Boolean).join(' · '))),
      h('table', { class: 'cards' }, h('caption', { class: 'for-readers' }, `Quantizations of ${one.repo}`), h('thead', { class: 'for-readers' }, h('tr', {}, ['Quantization', 'Download', 'Memory', 'Action'].map((name) => h('th', { scope: 'col' }, name)))),
        h('tbody', {}, one.choices.map((choice) => h('tr', { key: choice.quantization },
          h('th', { scope: 'row' }, tag(choice.quantization)), h('td', { class: 'number' }, choice.file_size_formatted ?? 'size unknown'),
          h('td', {}, choice.fits_memory == null ? tag('unknown') : choice.fits_memory ? tag('fits', 'good') : tag(`needs ${bytes(choice.needed_memory_bytes)}`, 'bad')),
          h('td', { class: 'row-cell' }, h('div', { class: 'row-actions' }, h('fl-action', { '.label': 'Download', '.busy': 'Downloading…', '.name': `Download ${one.repo} ${choice.quantization}`,
            '.run': async () => {
              try {
                const done = await post('/models/import', { repo: one.repo, quantization: choice.quantization });
                readModels();
                return `Downloaded as ${done.model_name}`;
              } catch (error) {
                if (error.code !== 'operation_cancelled') throw error;
                return error.message; // paused or cancelled by the user
              }
            } }))))))));
  }

  view() {
    return [
      h('form', { class: 'filters', role: 'search', onsubmit: (event) => { event.preventDefault(); this.#search(event.target.elements.words.value); } },
        h('div', { class: 'row' }, h('input', { type: 'search', name: 'words', 'data-filter': true, required: true, maxlength: '200', placeholder: 'Name of a model or a repository', 'aria-label': 'Search Hugging Face', value: this.words ?? '' }),
          h('button', { type: 'submit', class: 'button primary' }, h('span', {}, 'Search')))),
      this.isBusy && skeleton(4),
      errorBox(this.error && { ...this.error, message: this.error.message, details: `${this.error.details ?? ''} The catalogue and your files still work.` }),
      this.found && (this.found.repositories.length ? h('div', { class: 'stack' }, this.found.repositories.map((one) => this.#repository(one)))
        : empty('Nothing found', h('p', {}, 'No repository with GGUF files has these words in its name.'), h('a', { href: href('models', null, { tab: 'catalogue' }) }, 'Look in the catalogue'))),
      !this.found && !this.isBusy && !this.error && empty('Any GGUF model on Hugging Face', h('p', {}, 'The search starts when you press Enter; nothing is sent before that.')),
    ];
  }
}

customElements.define('fl-hub-search', HubSearch);
