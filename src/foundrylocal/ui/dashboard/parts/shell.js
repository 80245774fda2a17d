// <fl-shell>: rail, header, notices, the screen of the current address, drawer and palette; and the keyboard.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { preference } from '../core/preferences.js';
import { SCREENS, go, route } from '../core/router.js';
import { store } from '../core/store.js';
import './action.js';
import { button, errorBox } from './controls.js';
import './downloads.js';
import './header.js';
import './notices.js';
import './palette.js';
import './rail.js';
import { showShortcuts } from './shortcuts.js';

const loaded = new Set();
const G_MS = 2000; // between g and the letter of a page

class Shell extends View {
  start() {
    this.afterG = false;
    this.onHash = () => this.#navigate();
    this.onKey = (event) => this.#key(event);
    addEventListener('hashchange', this.onHash);
    addEventListener('keydown', this.onKey);
    this.#navigate();
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
    removeEventListener('keydown', this.onKey);
  }

  async #navigate() {
    const { screen, name } = route();
    if (!loaded.has(screen)) {
      this.failed = !await import(`../screens/${screen}.js`).then(() => true, () => false);
      if (route().screen !== screen) return; // the user went on meanwhile
      if (this.failed) return this.draw();
      loaded.add(screen);
    }
    this.failed = false;
    const moved = this.shown !== undefined && this.shown !== screen;
    this.shown = screen;
    document.title = `${name ?? SCREENS[screen].title} · FoundryLocal`;
    this.draw();
    if (moved) {
      scrollTo(0, 0);
      if (!document.activeElement?.closest('main')) this.querySelector('h1')?.focus(); // the chat goes to its field
    }
  }

  #key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      this.querySelector('fl-palette').open();
      return;
    }
    const isTyping = event.target.closest('input, textarea, select, dialog, [contenteditable]');
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !preference('shortcuts', true)) return;
    if (this.afterG) {
      this.afterG = false;
      const found = Object.entries(SCREENS).find(([, screen]) => screen.key === event.key);
      if (found) go(found[0]);
    } else if (event.key === 'g') {
      this.afterG = true;
      clearTimeout(this.gTimer);
      this.gTimer = setTimeout(() => { this.afterG = false; }, G_MS);
    } else if (event.key === '?') {
      showShortcuts();
    } else if (event.key === '/') {
      const filter = this.querySelector('main [data-filter]');
      if (!filter) return;
      event.preventDefault();
      filter.focus();
    } else if (event.key === 'j' || event.key === 'k') {
      this.#step(event.key === 'j' ? 1 : -1);
    }
  }

  /** Move the focus to the next or previous row's main link. */
  #step(by) {
    const rows = [...this.querySelectorAll('main [data-row]')];
    const now = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by];
    const target = row?.querySelector('a, button');
    target?.focus();
    target?.scrollIntoView({ block: 'nearest' });
  }

  view() {
    const { link } = store.state;
    const screen = this.shown ?? 'overview';
    return [
      h('fl-rail', { key: 'rail', class: 'rail-host' }),
      h('div', { class: `page ${link.status === 'lost' ? 'is-lost' : ''}`, key: 'page' },
        h('fl-header', { key: 'header' }),
        h('fl-notices', { key: 'notices' }),
        h('main', { id: 'main', class: 'content', tabindex: '-1', key: 'main' },
          this.failed && errorBox({ message: 'This page could not be loaded', details: 'The service does not answer, or was updated meanwhile. Reload the page if it happens again.' }, [button('Try again', () => this.#navigate())]),
          link.status !== 'key' && !this.failed && this.shown && h(SCREENS[screen].element, { key: screen, class: 'screen' }))),
      h('fl-downloads', { key: 'downloads' }),
      h('fl-palette', { key: 'palette' }),
    ];
  }
}

customElements.define('fl-shell', Shell);
