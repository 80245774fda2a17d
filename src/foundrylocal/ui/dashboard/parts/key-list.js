// <fl-key-list>: the gateway's keys: made here, shown once, revoked at once.

import { announce } from '../core/announce.js';
import { call, getIfThere, post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { ago, count, date } from '../core/format.js';
import { isLive } from '../core/store.js';
import { ask } from './dialogs.js';
import { button, card, copyButton, errorBox, skeleton, tag } from './controls.js';

class KeyList extends View {
  start() {
    this.form = { name: '', requests_per_minute: '', tokens_per_day: '', scope: 'inference' };
    this.#read();
  }

  async #read() {
    try {
      this.found = (await getIfThere('/keys'))?.keys ?? 'none';
    } catch (error) {
      this.error = error;
    }
    this.update();
  }

  async #make() {
    const { name, requests_per_minute: perMinute, tokens_per_day: perDay, scope } = this.form;
    this.made = await post('/keys', { name: name.trim(), scope, ...(perMinute && { requests_per_minute: Number(perMinute) }), ...(perDay && { tokens_per_day: Number(perDay) }) });
    this.form = { name: '', requests_per_minute: '', tokens_per_day: '', scope: 'inference' };
    announce(`Key ${this.made.name} was made`);
    await this.#read();
    this.draw();
    this.querySelector('.new-key button')?.focus();
  }

  async #revoke(name) {
    if (!await ask({ title: `Revoke the key ${name}?`, yes: 'Revoke', body: h('p', {}, 'Applications that use this key will be refused. This cannot be undone.') })) return;
    await call('DELETE', `/keys/${encodeURIComponent(name)}`);
    if (this.made?.name === name) this.made = null;
    announce(`Key ${name} revoked`);
    await this.#read();
  }

  #table() {
    if (!this.found.length) return h('p', { class: 'muted' }, 'No additional keys. A key for each person or application can have its own limits and be revoked separately.');
    return h('div', { class: 'table-wrap' }, h('table', { class: 'cards' }, h('caption', { class: 'for-readers' }, 'Keys'),
      h('thead', {}, h('tr', {}, ['Name', 'Scope', 'Limits', 'Made', 'Last used', ''].map((name) => h('th', { scope: 'col' }, name || h('span', { class: 'for-readers' }, 'Action'))))),
      h('tbody', {}, this.found.map((one) => h('tr', { key: one.name, 'data-row': true }, h('th', { scope: 'row', class: 'lead' }, one.name), h('td', {}, tag(one.scope)),
        h('td', { class: 'minor' }, [one.requests_per_minute && `${count(one.requests_per_minute)} requests per minute`, one.tokens_per_day && `${count(one.tokens_per_day)} tokens per day`, one.models?.length && one.models.join(', '), one.expires_at && `until ${date(one.expires_at)}`].filter(Boolean).join(' · ') || 'none'),
        h('td', { class: 'minor' }, date(one.created_at)), h('td', {}, one.last_used_at ? ago(one.last_used_at) : 'never'),
        h('td', { class: 'row-cell' }, button('Revoke', () => this.#revoke(one.name).catch((error) => { this.error = error; this.draw(); }), { kind: 'plain small', name: `Revoke the key ${one.name}`, disabled: !isLive() })))))));
  }

  #field(name, label, props = {}) {
    return h('div', { class: 'field', key: name }, h('label', { for: `key-${name}` }, label), h('input', { id: `key-${name}`, value: this.form[name], autocomplete: 'off', ...props, oninput: (event) => { this.form[name] = event.target.value; this.update(); } }));
  }

  view() {
    if (!this.found) return card('Keys', {}, this.error ? errorBox(this.error) : skeleton(2));
    if (this.found === 'none') return null;
    return card('Keys for people and programs', {}, this.made && h('div', { class: 'new-key', key: 'made', role: 'status' }, h('strong', {}, `Key “${this.made.name}”: copy it now, it will not be shown again.`),
      h('div', { class: 'value-line' }, h('code', {}, this.made.key), copyButton(() => this.made.key, { name: 'Copy the new key' }), button('Done', () => { this.made = null; this.draw(); }))),
    this.#table(), errorBox(this.error),
    h('details', { key: 'make' }, h('summary', {}, 'Make a key'), h('div', { class: 'stack' }, h('div', { class: 'two' }, this.#field('name', 'Name', { placeholder: 'alice', maxlength: '64' }),
      h('div', { class: 'field' }, h('label', { for: 'key-scope' }, 'Scope'), h('select', { id: 'key-scope', onchange: (event) => { this.form.scope = event.target.value; } },
        [['inference', 'use models'], ['read', 'read the management API'], ['manage', 'manage everything']].map(([id, label]) => h('option', { value: id, selected: id === this.form.scope }, label)))),
      this.#field('requests_per_minute', 'Requests per minute (optional)', { type: 'number', min: '1' }), this.#field('tokens_per_day', 'Tokens per day (optional)', { type: 'number', min: '1' })),
    h('div', {}, h('fl-action', { '.label': 'Make key', '.busy': 'Making…', '.kind': 'primary', '.blocked': !this.form.name.trim(), '.run': () => this.#make() })))));
  }
}

customElements.define('fl-key-list', KeyList);
