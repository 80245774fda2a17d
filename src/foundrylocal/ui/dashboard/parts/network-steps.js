// <fl-network-steps>: opens the gateway to the local network step by step, tests it, and closes it again.

import { post, setManagementKey } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { reachable } from '../core/gateway.js';
import { store } from '../core/store.js';
import { card, copyButton, errorBox, outside, stateMark } from './controls.js';

const KEY_BYTES = 24;
const ADDRESS = /^(?:\d{1,3}\.){3}\d{1,3}$|^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/;

/** A new management key of random letters and digits. */
function makeKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return `fm-${[...bytes].map((one) => one.toString(16).padStart(2, '0')).join('')}`;
}

class NetworkSteps extends View {
  start() {
    this.address = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname) ? '' : location.hostname;
    this.#read();
  }

  async #read() {
    try {
      this.settings = await post('/config', {});
    } catch (error) {
      this.error = error;
    }
    this.update();
  }

  get #isOpen() {
    return !['localhost', '127.0.0.1', '::1'].includes(this.settings.gateway_host);
  }

  /** The gateway always needs a key; the management API stays on this machine and gets a key too. */
  async #open() {
    const name = this.address.trim();
    const { allowed_hosts: hosts, management_key: known } = this.settings;
    const key = known ? null : makeKey();
    this.settings = await post('/config', { gateway_host: '0.0.0.0', allowed_hosts: [...new Set([...hosts, name])], ...(key && { management_key: key }) });
    if (key) {
      setManagementKey(key);
      this.madeKey = key;
    }
    await this.#restart();
    return 'Open. Use the address below from another machine.';
  }

  async #close() {
    this.settings = await post('/config', { gateway_host: 'localhost', allowed_hosts: this.settings.allowed_hosts.filter((one) => one !== this.address.trim()) });
    await this.#restart();
    return 'Only this machine can reach it now. The management key stays set; change it under Settings.';
  }

  /** The gateway's port is bound again, with the model that is current. */
  async #restart() {
    const { status, current_model: model } = store.state.server;
    if (status === 'running' && model) {
      await post('/stop');
      await post('/start', { model_name: model });
    }
    this.draw();
  }

  async #test() {
    const url = this.#url().replace(/\/v1$/, '/health');
    try {
      const answer = await fetch(url);
      return answer.ok ? `${url} answers.` : `${url} answers with status ${answer.status}.`;
    } catch {
      throw Object.assign(new Error(`${url} cannot be reached from this page`), { details: 'A firewall may block it, or the address may not belong to this machine. The security policy of this page can also block the call: to be sure, try curl from the other machine.' });
    }
  }

  #url() {
    return reachable(`http://${this.address.trim() || 'ADDRESS'}:${store.state.server.port}/v1`);
  }

  view() {
    if (!this.settings) return card('Open to my network', {}, errorBox(this.error));
    const name = this.address.trim();
    const isValid = ADDRESS.test(name);
    const canTest = this.#isOpen && isValid && store.state.server?.port;
    return card('Open to my network', {}, h('div', {}, this.#isOpen ? stateMark(`Open: other machines can reach the gateway at ${this.settings.gateway_host}`, 'warn') : stateMark('Only this machine can reach the gateway', 'good')),
      h('ol', { class: 'steps' },
        h('li', {}, h('label', { for: 'net-address' }, 'The address of this machine on your network, as other machines see it'), h('div', {}, h('input', { id: 'net-address', value: this.address, placeholder: '192.168.1.5', spellcheck: 'false', oninput: (event) => { this.address = event.target.value; this.update(); } }))),
        h('li', {}, 'Every request needs an API key, as always. You can make a separate key for each person above.'),
        h('li', {}, 'The gateway listens on every address, and that name is accepted as its host (settings ', h('code', {}, 'gateway_host'), ' and ', h('code', {}, 'allowed_hosts'), '). The management API stays on this machine.'),
        h('li', {}, this.settings.management_key ? ['The management API has a key of its own (', h('code', {}, 'management_key'), ').']
          : ['The management API gets a key of its own (', h('code', {}, 'management_key'), '), so that nobody else can manage this service. It is made now and shown once.']),
        h('li', {}, 'Web pages from other machines may call it only when they are listed in ', h('code', {}, 'allowed_origins'), '.'),
        h('li', {}, 'Traffic is not encrypted: use it in a network that you trust, or through a VPN.')),
      this.madeKey && h('div', { class: 'new-key', role: 'status' }, h('strong', {}, 'The management key: copy it now, it will not be shown again. This page asks for it after a reload.'),
        h('div', { class: 'value-line' }, h('code', {}, this.madeKey), copyButton(() => this.madeKey, { name: 'Copy the management key' }))),
      h('div', { class: 'row' }, h('fl-action', { '.label': this.#isOpen ? 'Apply again' : 'Open to my network', '.busy': 'Opening…', '.blocked': !isValid, '.run': () => this.#open() }),
        this.#isOpen && h('fl-action', { '.label': 'Back to this machine only', '.busy': 'Closing…', '.kind': 'primary', '.run': () => this.#close() }),
        canTest && h('fl-action', { '.label': 'Test', '.busy': 'Testing…', '.run': () => this.#test() })),
      canTest ? h('p', {}, 'Reachable as ', outside(this.#url(), this.#url())) : this.#isOpen && isValid && h('p', { class: 'muted' }, 'The server is stopped: load a model, and its address appears here.'));
  }
}

customElements.define('fl-network-steps', NetworkSteps);
