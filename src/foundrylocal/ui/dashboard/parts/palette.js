// <fl-palette>: Ctrl+K; finds pages, models and settings by a few letters.

import { get } from '../core/api.js';
import { h, patch } from '../core/dom.js';
import { stateOf } from '../core/models.js';
import { SCREENS, href } from '../core/router.js';
import { store } from '../core/store.js';

const MAX_SHOWN = 12;
let settingNames = null;

class Palette extends HTMLElement {
  async open() {
    if (this.dialog) return;
    this.words = '';
    this.at = 0;
    this.before = document.activeElement;
    this.dialog = document.createElement('dialog');
    this.dialog.className = 'dialog palette';
    this.dialog.setAttribute('aria-label', 'Search');
    this.dialog.addEventListener('close', () => {
      this.dialog.remove();
      this.dialog = null;
      this.before?.focus?.();
    });
    this.append(this.dialog);
    this.#draw();
    this.dialog.showModal();
    if (!settingNames) {
      settingNames = get('/openapi.json').then((document) => Object.keys(document.components.schemas.ConfigBody.properties)).catch(() => []);
    }
    this.settings = await settingNames;
    this.#draw();
  }

  #found() {
    const words = this.words.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
    const pages = Object.entries(SCREENS).filter(([, one]) => fits(one.title)).map(([id, one]) => [one.title, 'page', href(id)]);
    const models = (store.state.models ?? []).filter((one) => words.length && fits(`${one.simple_name} ${one.family ?? ''}`))
      .map((one) => [one.simple_name, stateOf(one)[0].toLowerCase(), href('models', one.simple_name)]);
    const settings = (this.settings ?? []).filter((name) => words.length && name !== 'defaults' && fits(name.replaceAll('_', ' ') + name))
      .map((name) => [name, 'setting', href('settings', null, { find: name })]);
    return [...pages, ...models, ...settings].slice(0, MAX_SHOWN);
  }

  #key(event, found) {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      this.at = (this.at + (event.key === 'ArrowDown' ? 1 : found.length - 1)) % Math.max(1, found.length);
      this.#draw();
    } else if (event.key === 'Enter' && found[this.at]) {
      event.preventDefault();
      this.#choose(found[this.at][2]);
    }
  }

  #choose(address) {
    this.before = null;
    this.dialog.close();
    location.hash = address;
  }

  #draw() {
    if (!this.dialog) return;
    const found = this.#found();
    patch(this.dialog,
      h('input', { type: 'text', class: 'palette-input', placeholder: 'Pages, models, settings', 'aria-label': 'Search pages, models and settings',
        role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-activedescendant': found.length ? `palette-${this.at}` : null,
        oninput: (event) => { this.words = event.target.value; this.at = 0; this.#draw(); },
        onkeydown: (event) => this.#key(event, this.#found()) }),
      h('ul', { id: 'palette-list', role: 'listbox', class: 'plain-list', 'aria-label': 'Found' },
        found.map(([label, kind, address], index) => h('li', { id: `palette-${index}`, role: 'option', 'aria-selected': String(index === this.at),
          class: index === this.at ? 'is-at' : '', onclick: () => this.#choose(address) }, h('span', {}, label), h('span', { class: 'muted small' }, kind)))),
      !found.length && h('p', { class: 'muted small' }, 'Nothing found.'));
  }
}

customElements.define('fl-palette', Palette);
