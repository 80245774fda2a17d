// <fl-menu>: the ⋯ button and its list. Properties: `name`, `entries` ([words, action, kind?]).

import { h, patch } from '../core/dom.js';
import { button, iconButton } from './controls.js';

class Menu extends HTMLElement {
  connectedCallback() {
    this.className = 'menu';
    this.isOpen = false;
    this.onOutside = (event) => { if (!this.contains(event.target)) this.#set(false); };
    this.onkeydown = (event) => this.#key(event);
    this.draw();
  }

  disconnectedCallback() {
    document.removeEventListener('pointerdown', this.onOutside);
  }

  set entries(value) {
    this.list = value;
    if (this.isOpen) this.draw();
  }

  #set(isOpen) {
    this.isOpen = isOpen;
    if (isOpen) document.addEventListener('pointerdown', this.onOutside);
    else document.removeEventListener('pointerdown', this.onOutside);
    this.draw();
    if (isOpen) this.querySelector('.menu-list button')?.focus();
  }

  /** Close it and go back to its button. */
  #close() {
    this.#set(false);
    this.querySelector('button').focus();
  }

  #key(event) {
    if (!this.isOpen) return;
    const all = [...this.querySelectorAll('.menu-list button')];
    const at = all.indexOf(document.activeElement);
    if (event.key === 'Escape') {
      event.stopPropagation();
      this.#close();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      all[(at + (event.key === 'ArrowDown' ? 1 : all.length - 1)) % all.length]?.focus();
    }
  }

  draw() {
    patch(this, iconButton('more', this.name ?? 'More', () => this.#set(!this.isOpen), { 'aria-expanded': String(this.isOpen) }),
      this.isOpen && h('div', { class: 'menu-list' }, this.list.map(([words, action, kind]) =>
        button(words, () => { this.#close(); action(); }, { kind: kind ?? 'plain', key: words }))));
  }
}

customElements.define('fl-menu', Menu);
