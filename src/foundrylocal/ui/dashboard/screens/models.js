// <fl-models>: the models in four tabs, filtered by the address, and the details of one beside them.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { plural } from '../core/format.js';
import { can, fit } from '../core/models.js';
import { href, replace, route } from '../core/router.js';
import { store } from '../core/store.js';
import { chip, empty, skeleton, tabs } from '../parts/controls.js';
import '../parts/hub-search.js';
import '../parts/model-details.js';
import '../parts/model-list.js';
import '../parts/other-programs.js';

const CHIPS = [['chat', 'Chat'], ['tools', 'Tools'], ['vision', 'Vision'], ['embedding', 'Embedding'], ['rerank', 'Rerank'], ['reasoning', 'Reasoning']];
const LIST_QUERY = ['tab', 'find', 'for', 'fits', 'licence', 'sort', 'desc'];

class Models extends View {
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
    return { ...found, tab: found.tab ?? (hasOwn || !store.state.models ? 'mine' : 'catalogue') };
  }

  #change(fields) {
    replace('models', route().name, { ...this.#query(), ...fields });
  }

  #filtered(models, query) {
    const words = (query.find ?? '').toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = (query.for ?? '').split(',').filter(Boolean);
    const onlyFits = query.tab === 'catalogue' && query.fits !== '0';
    return models.filter((one) => words.every((word) => `${one.model_id} ${one.family ?? ''} ${one.license ?? ''}`.toLowerCase().includes(word))
      && wanted.every((capability) => can(one, capability)) && (!query.licence || (one.license ?? 'unknown') === query.licence)
      && (!onlyFits || fit(one) !== 'no'));
  }

  #filters(query, all, shown) {
    const wanted = (query.for ?? '').split(',').filter(Boolean);
    const toggle = (id) => this.#change({ for: (wanted.includes(id) ? wanted.filter((one) => one !== id) : [...wanted, id]).join(',') });
    const licences = [...new Set(all.map((one) => one.license ?? 'unknown'))].sort();
    return h('div', { class: 'filters' },
      h('div', { class: 'row' },
        h('input', { type: 'search', 'data-filter': true, placeholder: 'Filter by name, family, licence', 'aria-label': 'Filter the models', value: query.find ?? '', oninput: (event) => this.#change({ find: event.target.value }) }),
        licences.length > 1 && h('select', { 'aria-label': 'Licence', onchange: (event) => this.#change({ licence: event.target.value }) },
          h('option', { value: '' }, 'Any licence'), licences.map((one) => h('option', { key: one, value: one, selected: one === query.licence }, one))),
        h('span', { class: 'muted small', role: 'status' }, shown.length === all.length ? plural(all.length, 'model') : `Showing ${shown.length} of ${all.length}`)),
      h('div', { class: 'row chips', role: 'group', 'aria-label': 'Kinds' },
        query.tab === 'catalogue' && chip('Fits this machine', query.fits !== '0', () => this.#change({ fits: query.fits === '0' ? null : '0' })),
        CHIPS.map(([id, label]) => chip(label, wanted.includes(id), () => toggle(id)))));
  }

  #noHit(query, all) {
    const words = (query.find ?? '').toLowerCase();
    const near = words.length > 2 ? store.state.models.filter((one) => one.simple_name.toLowerCase().includes(words.slice(0, 3))).slice(0, 4) : [];
    return empty(all.length ? 'No model matches' : 'No model is here yet',
      near.length > 0 && h('p', {}, 'Similar names: ', near.map((one) => [h('a', { href: href('models', one.simple_name, { tab: 'catalogue' }) }, one.simple_name), ' '])),
      h('div', { class: 'row' }, query.tab === 'mine' && h('a', { class: 'button', href: href('models', null, { tab: 'catalogue', find: query.find }) }, 'Look in the catalogue'),
        query.find && h('a', { class: 'button', href: href('models', null, { tab: 'hub', find: query.find }) }, `Search Hugging Face for “${query.find}”`)));
  }

  #list(query) {
    const all = query.tab === 'mine' ? store.state.models.filter((one) => one.is_downloaded || store.state.downloads.some((running) => running.model_name === one.simple_name)) : store.state.models;
    const shown = this.#filtered(all, query);
    return [this.#filters(query, all, shown), shown.length
      ? h('fl-model-list', { key: query.tab, '.models': shown, '.query': query, '.open': route().name, onsort: (event) => this.#change(event.detail) })
      : this.#noHit(query, all)];
  }

  view() {
    const { models } = store.state;
    const query = this.#query();
    const { name } = route();
    if (!models) return skeleton(8);
    const mine = models.filter((one) => one.is_downloaded).length;
    const list = this.querySelector('fl-model-list');
    requestAnimationFrame(() => list?.update());
    return h('div', { class: `with-panel ${name ? '' : 'alone'}` },
      h('div', { key: 'list' }, tabs('Where models are', [['mine', 'On this machine', mine], ['catalogue', 'Catalogue', models.length], ['hub', 'Hugging Face'], ['other', 'Other programs']],
        query.tab, (tab) => href('models', null, { tab })),
      query.tab === 'hub' ? h('fl-hub-search', { key: 'hub', '.words': query.find }) : query.tab === 'other' ? h('fl-other-programs', { key: 'other' }) : this.#list(query)),
      name && h('fl-model-details', { key: name, class: 'panel', '.name': name, '.listQuery': query }));
  }
}

customElements.define('fl-models', Models);
