// The base of every part of the page: redraws itself when the state changes, at most once per frame.

import { patch } from './dom.js';
import { keepFocus } from './focus.js';
import { store } from './store.js';

export class View extends HTMLElement {
  #isQueued = false;

  connectedCallback() {
    this.unsubscribe = store.subscribe(() => this.update());
    this.start?.();
    this.draw();
  }

  disconnectedCallback() {
    this.unsubscribe();
    this.stop?.();
  }

  /** Redraw in the next frame. */
  update() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame(() => {
      this.#isQueued = false;
      if (this.isConnected) this.draw();
    });
  }

  draw() {
    keepFocus(this, () => patch(this, this.view()));
  }
}
