// <fl-connect-box>: base URL, key and snippets; `model` names one model, otherwise the current one is used.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { gateway } from '../core/gateway.js';
import { SNIPPETS, masked } from '../core/snippets.js';
import { store } from '../core/store.js';
import { announce } from '../core/announce.js';
import { button, copyButton, copyText } from './controls.js';

class ConnectBox extends View {
  start() {
    this.language = 'Python';
    this.isKeyShown = false;
  }

  /** Ask for the address again when the server's port or state changed. */
  #refresh() {
    const { server } = store.state;
    const stamp = server && `${server.status} ${server.port}`;
    if (!server || stamp === this.stamp) return;
    this.stamp = stamp;
    gateway().then((where) => {
      this.where = where;
      this.draw();
    }).catch(() => { this.stamp = null; });
  }

  #what(key) {
    const model = this.model ?? store.state.server?.current_model ?? 'MODEL';
    return { base: `${this.where.base}/v1`, key, model };
  }

  view() {
    this.#refresh();
    if (!this.where) return h('p', { class: 'muted' }, 'The address and the key appear here once a model is loaded.');
    const make = SNIPPETS[this.language];
    return h('div', { class: 'stack' },
      h('dl', { class: 'stack' },
        h('div', {}, h('dt', { class: 'muted small' }, 'Base URL'), h('dd', { class: 'value-line' },
          h('code', {}, `${this.where.base}/v1`), copyButton(`${this.where.base}/v1`, { name: 'Copy the base URL' }))),
        h('div', {}, h('dt', { class: 'muted small' }, 'API key'), h('dd', { class: 'value-line' },
          h('code', {}, this.isKeyShown ? this.where.key : masked(this.where.key)),
          button(this.isKeyShown ? 'Hide' : 'Show', () => { this.isKeyShown = !this.isKeyShown; this.draw(); }, { name: `${this.isKeyShown ? 'Hide' : 'Show'} the API key` }),
          copyButton(() => this.where.key, { name: 'Copy the API key' })))),
      h('div', { class: 'row' }, h('span', { class: 'muted small' }, 'Copy code for'), Object.keys(SNIPPETS).map((name) =>
        h('button', { key: name, type: 'button', class: 'button small', 'aria-label': `Copy ${name} code`, onclick: () => this.#copy(name) }, h('span', {}, name)))),
      this.copied && h('p', { class: 'done-note', role: 'status' }, this.copied),
      this.full && h('div', { class: 'snippet' }, h('pre', { tabindex: '0', 'aria-label': `${this.language} code` }, make(this.#what(this.isKeyShown ? this.where.key : masked(this.where.key))))));
  }

  async #copy(name) {
    this.language = name;
    await copyText(SNIPPETS[name](this.#what(this.where.key)), `${name} code copied`);
    this.copied = `${name} code copied, including the key.`;
    announce(this.copied);
    this.draw();
  }
}

customElements.define('fl-connect-box', ConnectBox);
