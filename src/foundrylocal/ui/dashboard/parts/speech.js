// The choice of when a screen reader reads a chat answer.

import { h } from '../core/dom.js';
import { prefer, preference } from '../core/preferences.js';

const TIMES = [['whole', 'when it is complete'], ['sentence', 'sentence by sentence']];

export function speechSelect(props = {}) {
  const chosen = preference('speakAnswers', 'whole');
  return h('select', { ...props, onchange: (event) => prefer('speakAnswers', event.target.value) },
    TIMES.map(([id, label]) => h('option', { key: id, value: id, selected: chosen === id }, label)));
}
