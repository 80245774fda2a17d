// <fl-composer>: the field for a message, with images by button, paste and drop. Properties: `takesImages`,
// `blocked` (why nothing can be sent, or an empty text).

import { conversation, onChange, send, stop } from '../core/conversation.js';
import { h, patch } from '../core/dom.js';
import { keepFocus } from '../core/focus.js';
import { iconButton, button } from './controls.js';

const MAX_IMAGES = 4;

class Composer extends HTMLElement {
  connectedCallback() {
    this.images = [];
    this.end = onChange(() => this.draw());
    this.ondragover = (event) => event.preventDefault();
    this.ondrop = (event) => { event.preventDefault(); this.#add(event.dataTransfer.files); };
    this.draw();
    this.querySelector('textarea').focus({ preventScroll: true });
  }

  disconnectedCallback() {
    this.end();
  }

  /** Put a text into the field. */
  fill(text, images = []) {
    this.images = images;
    this.draw();
    const field = this.querySelector('textarea');
    field.value = text;
    field.focus();
  }

  async #add(files) {
    if (!this.takesImages) {
      this.note = files.length ? 'This model does not take images.' : null;
      this.draw();
      return;
    }
    for (const file of [...files].filter((one) => one.type.startsWith('image/')).slice(0, MAX_IMAGES - this.images.length)) {
      this.images.push(await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(file);
      }));
    }
    this.draw();
  }

  #send() {
    const field = this.querySelector('textarea');
    if (!field.value.trim() || conversation.running || this.blocked) return;
    const { images } = this;
    this.images = [];
    this.note = null;
    send(field.value, images);
    field.value = '';
    this.draw();
  }

  #key(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    } else if (event.key === 'Escape' && conversation.running) {
      stop();
    }
  }

  update() {
    if (this.isConnected) this.draw();
  }

  draw() {
    const isRunning = Boolean(conversation.running);
    keepFocus(this, () => patch(this, this.#box(isRunning)));
  }

  #box(isRunning) {
    return h('div', { class: 'composer-box' },
      this.images.length > 0 && h('div', { class: 'thumbs' }, this.images.map((url, index) => h('div', { key: index, class: 'row' }, h('img', { src: url, alt: `Image ${index + 1}` }),
        iconButton('close', `Remove image ${index + 1}`, () => { this.images.splice(index, 1); this.draw(); })))),
      h('textarea', { rows: '2', placeholder: this.blocked || 'Message', 'aria-label': 'Message', onkeydown: (event) => this.#key(event),
        onpaste: (event) => { if (event.clipboardData.files.length) { event.preventDefault(); this.#add(event.clipboardData.files); } } }),
      h('div', { class: 'split' },
        h('span', { class: 'row muted small' }, this.takesImages && h('label', { class: 'button quiet' }, 'Add image',
          h('input', { type: 'file', accept: 'image/*', multiple: true, class: 'for-readers', onchange: (event) => { this.#add(event.target.files); event.target.value = ''; } })),
        this.note ?? 'Enter sends, Shift+Enter starts a new line'),
        isRunning ? button('Stop', stop, { glyph: 'stop', name: 'Stop the answer' }) : button('Send', () => this.#send(), { kind: 'primary', disabled: Boolean(this.blocked) })));
  }
}

customElements.define('fl-composer', Composer);
