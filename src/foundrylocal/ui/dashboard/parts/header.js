// <fl-header>: the page's title, the server's state in words, the downloads button and the search.

import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { SCREENS, route } from '../core/router.js';
import { store } from '../core/store.js';
import { stateMark } from './controls.js';
import { icon } from './icons.js';

/** The state of everything in a few words, and how good that is. */
export function overallState({ link, server, jobs }) {
  if (link.status === 'lost') return ['Disconnected', 'warn'];
  if (link.status === 'key') return ['Key needed', 'warn'];
  if (link.status === 'connecting' || !server) return ['Connecting…', 'idle'];
  const busy = Object.entries(jobs).find(([, job]) => !job.error);
  if (busy) return [`${busy[1].what ?? 'Loading'} ${busy[0]}${busy[1].percent ? ` ${Math.round(busy[1].percent)} %` : ''}`, 'busy'];
  if (Object.keys(jobs).length && server.status !== 'starting') return ['Failed', 'bad'];
  switch (server.status) {
    case 'starting': return [`Loading ${server.current_model ?? 'a model'}`, 'busy'];
    case 'switching': return ['Switching models', 'busy'];
    case 'stopping': return ['Stopping', 'busy'];
    case 'error': return ['Failed', 'bad'];
    case 'running': return server.loaded_model_id || store.state.loaded.length ? ['Ready', 'good'] : ['Ready, loads on request', 'good'];
    default: return ['No model loaded', 'idle'];
  }
}

class Header extends View {
  start() {
    this.onHash = () => this.draw();
    addEventListener('hashchange', this.onHash);
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
  }

  view() {
    const [words, tone] = overallState(store.state);
    if (this.said !== undefined && this.said !== words) announce(words.replace(/ \d+ %$/, ''));
    this.said = words;
    const running = store.state.downloads.length;
    return h('header', { class: 'top' },
      h('h1', { tabindex: '-1' }, SCREENS[route().screen].title),
      h('span', { class: 'state-pill', title: words }, stateMark(words, tone)),
      h('div', { class: 'row top-actions' },
        h('button', { type: 'button', class: 'button quiet', 'aria-label': `Downloads, ${running} in progress`, onclick: () => document.querySelector('fl-downloads').toggle() },
          icon('download'), h('span', { class: 'wide-only' }, 'Downloads'), running > 0 && h('span', { class: 'badge' }, String(running))),
        h('button', { type: 'button', class: 'button search-button', 'aria-label': 'Search pages, models and settings', onclick: () => document.querySelector('fl-palette').open() },
          icon('search'), h('span', { class: 'wide-only' }, 'Search'), h('span', { class: 'wide-only key-hint' }))));
  }
}

customElements.define('fl-header', Header);
