// <fl-rail>: the pages; at its foot the version, the theme and the API's description.

import { hasCluster } from '../core/cluster.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { SCREENS, href, route } from '../core/router.js';
import { store } from '../core/store.js';
import { icon } from './icons.js';
import { showShortcuts } from './shortcuts.js';
import { themeSelect } from './theme.js';

// In a small window the first four stay in the bar, and the others are behind "More".
const IN_BAR = ['overview', 'models', 'chat', 'requests'];

class Rail extends View {
  start() {
    this.isOpen = false;
    this.onHash = () => {
      this.isOpen = false;
      this.draw();
    };
    addEventListener('hashchange', this.onHash);
    this.onkeydown = (event) => { if (event.key === 'Escape' && this.isOpen) this.#toggle(); };
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
  }

  #toggle() {
    this.isOpen = !this.isOpen;
    this.draw();
    this.querySelector(this.isOpen ? '.in-more' : '.more').focus();
  }

  view() {
    const current = route().screen;
    const { info } = store.state;
    return h('aside', { class: 'rail' },
      h('div', { class: 'brand' }, h('span', { class: 'brand-mark' }), h('span', { class: 'brand-name' }, 'FoundryLocal')),
      h('nav', { 'aria-label': 'Pages', class: this.isOpen ? 'is-open' : '' },
        Object.entries(SCREENS).filter(([id]) => id !== 'cluster' || hasCluster() || id === current).map(([id, screen]) => h('a', {
          key: id, href: href(id), 'aria-current': id === current ? 'page' : null, title: screen.title,
          class: IN_BAR.includes(id) ? 'in-bar' : 'in-more',
        }, icon(id), h('span', { class: 'label' }, screen.title))),
        h('button', { key: 'more', type: 'button', class: 'more', 'aria-expanded': String(this.isOpen),
          onclick: () => this.#toggle() }, icon('more'), h('span', { class: 'label' }, 'More'))),
      h('div', { class: 'rail-foot' },
        h('label', { class: 'theme' }, h('span', { class: 'for-readers' }, 'Theme'),
          themeSelect()),
        h('div', { class: 'foot-links' },
          h('a', { href: 'docs' }, 'API docs'),
          h('button', { type: 'button', class: 'as-link', onclick: showShortcuts }, 'Keyboard')),
        h('span', { class: 'version' }, info ? `API ${info.version} · engine ${info.foundry_local_version}` : '')));
  }
}

customElements.define('fl-rail', Rail);
