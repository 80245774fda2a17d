// <fl-notices>: the bar while the service does not answer, and the field for the management key.

import { setManagementKey } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { clock } from '../core/format.js';
import { tryNow } from '../core/live.js';
import { store } from '../core/store.js';
import { button } from './controls.js';
import { icon } from './icons.js';

class Notices extends View {
  start() {
    this.timer = setInterval(() => store.state.link.status === 'lost' && this.draw(), 1000);
  }

  stop() {
    clearInterval(this.timer);
  }

  #unlock(event) {
    event.preventDefault();
    const field = event.target.elements.key;
    setManagementKey(field.value.trim());
    field.value = '';
    store.set({ link: { status: 'connecting' } });
    tryNow();
  }

  view() {
    const { link } = store.state;
    if (link.status === 'lost') {
      const left = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000));
      return h('div', { class: 'notice warn', role: 'alert', key: 'lost' }, icon('warning'),
        h('span', {}, `The service has not answered since ${clock(link.since)}. Trying again in ${left} s.`),
        button('Try now', tryNow));
    }
    if (link.status === 'key') {
      return h('form', { class: 'key-form card', key: 'key', onsubmit: (event) => this.#unlock(event) },
        h('h2', {}, 'This service needs its management key'),
        h('label', { for: 'management-key' }, 'Paste the management key'),
        h('div', { class: 'row' },
          h('input', { id: 'management-key', name: 'key', type: 'password', autocomplete: 'off', required: true, autofocus: true,
            'aria-describedby': 'key-help', 'aria-invalid': link.wrongKey ? 'true' : null }),
          h('button', { type: 'submit', class: 'button primary' }, h('span', {}, 'Unlock'))),
        link.wrongKey && h('p', { class: 'field-error', role: 'alert' }, 'The service refused this key.'),
        h('p', { class: 'muted', id: 'key-help' }, 'It is the value of the setting management_key. It stays in this tab’s memory and is gone when the tab is closed.'));
    }
    return null;
  }
}

customElements.define('fl-notices', Notices);
