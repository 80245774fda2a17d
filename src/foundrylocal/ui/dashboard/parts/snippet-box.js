// <fl-snippet-box>: code with tabs, with the key masked on the screen and whole in what is copied.
// Properties: `snippets` (name -> function), `what` ({base, root, key, model}).

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { masked } from '../core/snippets.js';
import { chip, copyButton } from './controls.js';

class SnippetBox extends View {
  view() {
    const names = Object.keys(this.snippets);
    const name = names.includes(this.chosen) ? this.chosen : names[0];
    const make = this.snippets[name];
    return h('div', { class: 'snippet' },
      h('div', { class: 'row', role: 'group', 'aria-label': 'Programs' }, names.map((one) => chip(one, one === name, () => { this.chosen = one; this.draw(); }))),
      h('pre', { tabindex: '0', 'aria-label': `${name} lines` }, make({ ...this.what, key: masked(this.what.key) })),
      h('div', { class: 'row' }, copyButton(() => make(this.what), { name: `Copy the lines for ${name}` }), h('span', { class: 'muted small' }, 'The copied text contains the full key.')));
  }
}

customElements.define('fl-snippet-box', SnippetBox);
