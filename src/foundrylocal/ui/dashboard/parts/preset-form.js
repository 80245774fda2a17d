// <fl-preset-form>: the settings of one model. Property: `name`.

import { h } from '../core/dom.js';
import { View } from '../core/element.js';

class PresetForm extends View {
  view() {
    return h('p', { class: 'muted' }, 'This service keeps no settings of single models yet; the global ones are under Settings.');
  }
}

customElements.define('fl-preset-form', PresetForm);
