// <fl-action>: a button that says at once that it works, and shows an error beneath itself.
// Properties: `label`, `busy` (words meanwhile), `kind`, `name` (for screen readers), `run` (async), `glyph`, `blocked`.

import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { isLive } from '../core/store.js';
import { View } from '../core/element.js';
import { button, errorBox } from './controls.js';

class Action extends View {
  #isBusy = false;
  #error = null;
  #done = null;

  async #press() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#error = this.#done = null;
    this.draw();
    try {
      const said = await this.run();
      if (typeof said === 'string') {
        this.#done = said;
        announce(said);
      }
    } catch (error) {
      this.#error = error;
    }
    this.#isBusy = false;
    if (this.isConnected) this.draw();
  }

  view() {
    return [
      button(this.#isBusy ? this.busy ?? 'Working…' : this.label, () => this.#press(), {
        kind: this.kind, name: this.#isBusy ? null : this.name, glyph: this.glyph,
        disabled: this.#isBusy || !isLive() || this.blocked,
      }),
      this.#done && h('span', { class: 'done-note' }, this.#done),
      errorBox(this.#error),
    ];
  }
}

customElements.define('fl-action', Action);
