// <fl-connect>: the address and the key, lines for programs, keys for people, and the way to the network.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { CLIENTS, STYLES } from '../core/client-settings.js';
import { gateway } from '../core/gateway.js';
import { SNIPPETS } from '../core/snippets.js';
import { store } from '../core/store.js';
import { card } from '../parts/controls.js';
import '../parts/connect-box.js';
import '../parts/key-list.js';
import '../parts/network-steps.js';
import '../parts/snippet-box.js';

class Connect extends View {
  #refresh() {
    const { server } = store.state;
    const stamp = server && `${server.status} ${server.port}`;
    if (!server || stamp === this.stamp) return;
    this.stamp = stamp;
    gateway().then((where) => { this.where = where; this.update(); }).catch(() => { this.stamp = null; });
  }

  view() {
    this.#refresh();
    const model = store.state.server?.current_model ?? store.state.models?.find((one) => one.is_downloaded)?.simple_name ?? 'MODEL';
    const root = this.where?.base ?? 'http://127.0.0.1:1234';
    const what = { base: `${root}/v1`, root, key: this.where?.key ?? 'KEY', model };
    return h('div', { class: 'connect' },
      h('div', { key: 'lines', class: 'stack' }, card('Address and key', {}, h('fl-connect-box', {})),
        card('Code', {}, h('fl-snippet-box', { '.snippets': SNIPPETS, '.what': what })), card('Applications', {}, h('fl-snippet-box', { '.snippets': CLIENTS, '.what': what }))),
      card('Supported APIs', { key: 'styles' }, h('ul', { class: 'plain-list styles' }, STYLES.map(([name, path, use]) => h('li', { key: name }, h('span', { class: 'strong' }, name), h('code', {}, path), h('span', { class: 'muted small' }, use))))),
      h('fl-key-list', { key: 'keys', class: 'wide' }),
      h('fl-network-steps', { key: 'network', class: 'wide' }));
  }
}

customElements.define('fl-connect', Connect);
