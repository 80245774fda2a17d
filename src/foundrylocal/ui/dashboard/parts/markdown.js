// <fl-markdown>: an answer as text while it is written, then as formatted text. Properties: `text`, `isDone`.
// The service turns Markdown into a tree of a few harmless elements; they are made here one by one, never from HTML.

import { post } from '../core/api.js';
import { h, patch } from '../core/dom.js';

const MAX_CHARS = 32_768;
const MIN_CHANGE_MS = 800;
const TAGS = new Set(['p', 'h3', 'h4', 'h5', 'strong', 'em', 's', 'code', 'pre', 'ul', 'ol', 'li', 'blockquote', 'hr', 'br', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td']);

/** The description of one node of the tree; what is not known is shown as text. */
export function describe(node) {
  if (typeof node === 'string') return node;
  const children = (node.children ?? []).map(describe);
  if (!TAGS.has(node.tag)) return children;
  if (node.tag === 'a') {
    return /^(https?:\/\/|mailto:)/i.test(node.href) ? h('a', { href: node.href, target: '_blank', rel: 'noopener noreferrer', title: node.href }, children) : children;
  }
  return h(node.tag, node.tag === 'pre' ? { tabindex: '0' } : { start: Number.isInteger(node.start) ? String(node.start) : null }, children);
}

class Markdown extends HTMLElement {
  set text(value) {
    this.wanted = value;
    this.#next();
  }

  set isDone(value) {
    this.done = value;
    this.#next();
  }

  connectedCallback() {
    this.draw();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  /** Format the text again: at most now and then while it grows, and once at the end. */
  #next() {
    if (this.isConnected) this.draw();
    if (this.isAsking || this.timer || this.formatted === this.wanted || !this.wanted || this.wanted.length > MAX_CHARS) return;
    this.timer = setTimeout(() => this.#ask(), this.done ? 0 : MIN_CHANGE_MS);
  }

  async #ask() {
    this.timer = null;
    this.isAsking = true;
    const text = this.wanted;
    try {
      const { nodes } = await post('/markdown', { text });
      [this.nodes, this.formatted] = [nodes, text];
    } catch {
      this.formatted = text; // without the service it stays plain text
    }
    this.isAsking = false;
    this.#next();
  }

  draw() {
    const text = this.wanted ?? '';
    const isFormatted = this.nodes && text.startsWith(this.formatted) && text.length <= MAX_CHARS;
    const rest = isFormatted ? text.slice(this.formatted.length) : text;
    patch(this, isFormatted && h('div', { class: 'message-body', key: 'formatted' }, this.nodes.map(describe)),
      rest && h('div', { class: 'message-body plain', key: 'rest' }, rest));
  }
}

customElements.define('fl-markdown', Markdown);
