// <fl-models>: the models in four tabs, filtered by the address, and the details of one beside them.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { languageName, plural } from '../core/format.js';
import { latest } from '../core/memo.js';
import { findModel, fitBasis, isWanted, sortModels } from '../core/models.js';
import { href, replace, route } from '../core/router.js';
import { store } from '../core/store.js';
import { button, chip, empty, skeleton, tabs } from '../parts/controls.js';
import '../parts/hub-search.js';
import '../parts/model-details.js';
import '../parts/model-list.js';
import '../parts/other-programs.js';

const TABS = ['mine', 'catalogue', 'hub', 'other'];
const CHIPS = [['chat', 'Chat'], ['tools', 'Tools'], ['vision', 'Vision'], ['embedding', 'Embedding'], ['rerank', 'Rerank'], ['reasoning', 'Reasoning']];
const LIST_QUERY = ['tab', 'find', 'for', 'fits', 'licence', 'language', 'sort', 'desc'];
const SORTS = [['name', 'Name'], ['purpose', 'Purpose'], ['size', 'Parameters'], ['file', 'Download size'], ['memory', 'Memory'], ['context', 'Context'], ['license', 'Licence'], ['state', 'State']];
const MAX_NEAR = 4;

class Models extends View {
  // Two thousand models are sorted and filtered when something changed that the result depends on, not at each redraw.
  #mine = latest((models, downloads) => models.filter((one) => one.is_downloaded || downloads.some((running) => running.model_name === one.simple_name)));
  #sorted = latest((models, sort, desc, ...basis) => sortModels(models, sort, desc === '1'));
  #shown = latest((sorted, words, onlyFits, ...basis) => sorted.filter((one) => isWanted(one, JSON.parse(words), onlyFits)));
  #choices = latest((models) => ({
    licences: [...new Set(models.map((one) => one.license ?? 'unknown'))].sort(),
    languages: [...new Set(models.flatMap((one) => one.languages ?? []))].map((code) => [code, languageName(code)]).sort((a, b) => a[1].localeCompare(b[1])),
  }));

  start() {
    this.onHash = () => this.draw();
    addEventListener('hashchange', this.onHash);
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
  }

  /** The part of the address that is about the list. */
  #query() {
    const { query } = route();
    const found = Object.fromEntries(LIST_QUERY.map((name) => [name, query.get(name)]).filter(([, value]) => value));
    const hasOwn = store.state.models?.some((one) => one.is_downloaded);
    return { ...found, tab: TABS.includes(found.tab) ? found.tab : hasOwn || !store.state.models ? 'mine' : 'catalogue' };
  }

  #change(fields) {
    replace('models', route().name, { ...this.#query(), ...fields });
  }

  #choice(label, words, name, entries, query) {
    return h('select', { 'aria-label': label, onchange: (event) => this.#change({ [name]: event.target.value }) },
      h('option', { value: '' }, words), entries.map(([id, text]) => h('option', { key: id, value: id, selected: id === query[name] }, text)));
  }

  #filters(query, all, shown) {
    const wanted = (query.for ?? '').split(',').filter(Boolean);
    const toggle = (id) => this.#change({ for: (wanted.includes(id) ? wanted.filter((one) => one !== id) : [...wanted, id]).join(',') });
    const { licences, languages } = this.#choices(all);
    return h('div', { class: 'filters' },
      h('div', { class: 'row list-tools' },
        h('input', { type: 'search', 'data-filter': true, placeholder: 'Filter by name, family, licence', 'aria-label': 'Filter the models', value: query.find ?? '', oninput: (event) => this.#change({ find: event.target.value }) }),
        licences.length > 1 && this.#choice('Licence', 'Any licence', 'licence', licences.map((one) => [one, one]), query),
        languages.length > 1 && this.#choice('Language', 'Any language', 'language', languages, query),
        this.#choice('Sort by', 'Best fit first', 'sort', SORTS.map(([id, words]) => [id, `Sort by ${words.toLowerCase()}`]), query),
        query.sort && button(query.desc === '1' ? 'Descending' : 'Ascending', () => this.#change({ desc: query.desc === '1' ? null : '1' }), { name: `${query.desc === '1' ? 'Descending' : 'Ascending'} order: reverse it` }),
        h('span', { class: 'muted small', role: 'status' }, shown.length === all.length ? plural(all.length, 'model') : `Showing ${shown.length} of ${all.length}`)),
      h('div', { class: 'row chips', role: 'group', 'aria-label': 'Kinds' },
        query.tab === 'catalogue' && chip('Fits this machine', query.fits !== '0', () => this.#change({ fits: query.fits === '0' ? null : '0' })),
        CHIPS.map(([id, label]) => chip(label, wanted.includes(id), () => toggle(id)))));
  }

  #noHit(query, all) {
    const words = (query.find ?? '').toLowerCase();
    const near = words.length > 2 ? store.state.models.filter((one) => one.simple_name.toLowerCase().includes(words.slice(0, 3))).slice(0, MAX_NEAR) : [];
    const hidden = query.tab === 'catalogue' && query.fits !== '0' ? all.filter((one) => isWanted(one, query, false)).length : 0;
    return empty(all.length ? 'No model matches' : 'No models on this machine yet',
      hidden > 0 && h('p', {}, `${plural(hidden, 'model')} would match, but ${hidden === 1 ? 'is' : 'are'} too large for this machine.`),
      near.length > 0 && h('p', {}, 'Similar names: ', near.map((one) => [h('a', { href: href('models', one.simple_name, { tab: 'catalogue' }) }, one.simple_name), ' '])),
      h('div', { class: 'row' }, query.tab === 'mine' && h('a', { class: 'button', href: href('models', null, { tab: 'catalogue', find: query.find }) }, 'Look in the catalogue'),
        query.find && h('a', { class: 'button', href: href('models', null, { tab: 'hub', find: query.find }) }, `Search Hugging Face for “${query.find}”`)));
  }

  #list(query) {
    const { models, downloads } = store.state;
    const all = query.tab === 'mine' ? this.#mine(models, downloads) : models;
    const basis = fitBasis();
    const sorted = this.#sorted(all, query.sort, query.desc, ...basis);
    const { find, for: uses, licence, language } = query;
    const shown = this.#shown(sorted, JSON.stringify({ find, for: uses, licence, language }), query.tab === 'catalogue' && query.fits !== '0', ...basis);
    return [this.#filters(query, all, shown), shown.length
      ? h('fl-model-list', { key: query.tab, '.models': shown, '.query': query, '.open': route().name, onsort: (event) => this.#change(event.detail) })
      : this.#noHit(query, all)];
  }

  draw() {
    super.draw();
    const { tab } = this.#query();
    if (tab === this.tab) return;
    this.tab = tab; // in a small window the tabs scroll
    this.querySelector('.tabs [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  view() {
    const { models } = store.state;
    const query = this.#query();
    const { name } = route();
    if (!models) return skeleton(8);
    const mine = models.filter((one) => one.is_downloaded).length;
    return h('div', { class: `with-panel ${name ? '' : 'alone'}` },
      h('div', { key: 'list' }, tabs('Where models are', [['mine', 'On this machine', mine], ['catalogue', 'Catalogue', models.length], ['hub', 'Hugging Face'], ['other', 'Other programs']],
        query.tab, (tab) => href('models', null, { tab })),
      query.tab === 'hub' ? h('fl-hub-search', { key: 'hub', '.words': query.find }) : query.tab === 'other' ? h('fl-other-programs', { key: 'other' }) : this.#list(query)),
      name && h('fl-model-details', { key: findModel(name)?.simple_name ?? name, class: 'panel', '.name': findModel(name)?.simple_name ?? name, '.listQuery': query }));
  }
}

customElements.define('fl-models', Models);
