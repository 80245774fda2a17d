// <fl-load-at-start>: whether the service loads this model when it starts; a global setting, one model at most. Property: `name`.

import { post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { findModel } from '../core/models.js';

class LoadAtStart extends View {
  start() {
    post('/config', {}).then((settings) => { this.settings = settings; this.update(); }).catch(() => {});
  }

  async #set(name) {
    this.settings = await post('/config', { load_at_start: name });
    this.draw();
    return name ? 'It is loaded when the service starts' : 'No model is loaded when the service starts';
  }

  view() {
    if (!this.settings) return null;
    const { load_at_start: chosen, overridden } = this.settings;
    const isThis = chosen != null && findModel(chosen)?.simple_name === this.name;
    const words = isThis ? 'This model is loaded when the service starts.' : chosen ? `${chosen} is loaded when the service starts.` : 'No model is loaded when the service starts.';
    return [h('p', { class: 'small muted' }, words, overridden?.load_at_start && ` Set by ${overridden.load_at_start}.`),
      h('fl-action', { '.label': isThis ? 'Stop loading it at start' : chosen ? 'Load this one instead' : 'Load it at start', '.busy': 'Saving…', '.kind': 'plain small', '.blocked': Boolean(overridden?.load_at_start), '.run': () => this.#set(isThis ? null : this.name) })];
  }
}

customElements.define('fl-load-at-start', LoadAtStart);
