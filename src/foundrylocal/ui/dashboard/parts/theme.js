// The choice of the theme: as the system has it, light, or dark.

import { h } from '../core/dom.js';
import { applyTheme, preference } from '../core/preferences.js';
import { store } from '../core/store.js';

const THEMES = [['system', 'System theme'], ['light', 'Light'], ['dark', 'Dark']];

export function themeSelect(props = {}) {
  const theme = preference('theme', 'system');
  return h('select', { ...props, value: theme, onchange: (event) => { applyTheme(event.target.value); store.set({}); } },
    THEMES.map(([id, label]) => h('option', { key: id, value: id, selected: theme === id }, label)));
}
