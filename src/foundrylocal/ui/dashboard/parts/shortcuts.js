// The list of keyboard shortcuts, and the switch for the single letters.

import { h } from '../core/dom.js';
import { prefer, preference } from '../core/preferences.js';
import { SCREENS } from '../core/router.js';
import { button } from './controls.js';
import { show } from './dialogs.js';

const COMMON = [
  ['Ctrl K', 'Search pages, models, settings'], ['/', 'Go to the filter'], ['j, k', 'Next and previous row'],
  ['Enter', 'Open; in the chat: send'], ['Shift Enter', 'New line in the chat'], ['Esc', 'Close; in the chat: stop'], ['?', 'This list'],
];

export function showShortcuts() {
  show('Keyboard', (close, draw) => [
    h('table', { class: 'plain-table' }, h('caption', { class: 'for-readers' }, 'Shortcuts'), h('tbody', {},
      [...COMMON, ...Object.values(SCREENS).map((one) => [`g ${one.key}`, `Go to ${one.title}`])].map(([keys, what]) =>
        h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, keys)), h('td', {}, what))))),
    h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: preference('shortcuts', true),
      onchange: (event) => { prefer('shortcuts', event.target.checked); draw(); } }), 'Use single-letter shortcuts'),
    h('div', { class: 'row end' }, button('Close', close)),
  ]);
}
