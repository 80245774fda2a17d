// <fl-settings>: every setting with its value, its default and when a change holds; the system; stop.

import { post } from '../core/api.js';
import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { href, route } from '../core/router.js';
import { defaultOf, description, fromText, shapeOf, withoutDefault } from '../core/schema.js';
import { GROUPS, aboutSetting } from '../core/setting-groups.js';
import { isLive } from '../core/store.js';
import { ask } from '../parts/dialogs.js';
import { button, card, errorBox, prose, skeleton } from '../parts/controls.js';
import { showShortcuts } from '../parts/shortcuts.js';
import { speechSelect } from '../parts/speech.js';
import { themeSelect } from '../parts/theme.js';
import { valueField } from '../parts/value-field.js';
import '../parts/system-facts.js';

const NOT_SETTINGS = ['success', 'message', 'cachedir', 'overridden'];
const SECRET = 'management_key';

class Settings extends View {
  start() {
    this.edited = {};
    this.errors = {};
    this.onHash = () => this.#goTo();
    addEventListener('hashchange', this.onHash);
    this.#read();
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
  }

  async #read() {
    try {
      const [values, document_] = await Promise.all([post('/config', {}), description()]);
      this.values = values;
      this.all = document_.components.schemas;
      this.fields = this.all.ConfigBody.properties;
    } catch (error) {
      this.error = error;
    }
    this.draw();
    this.#goTo();
  }

  #goTo() {
    this.found = route().query.get('find');
    this.draw();
    if (this.found) document.getElementById(`setting-${this.found}`)?.scrollIntoView({ block: 'center' });
  }

  /** The variable or option that fixes a setting; null if nothing does. */
  #fixedBy(name) {
    const { overridden } = this.values;
    if (Array.isArray(overridden)) return overridden.includes(name) ? `FOUNDRYLOCAL_${name.toUpperCase()} or the command line` : null;
    return overridden?.[name] ?? null;
  }

  async #save() {
    const changes = {};
    this.errors = {};
    this.error = null;
    for (const [name, text] of Object.entries(this.edited)) {
      try {
        changes[name] = typeof text === 'boolean' ? text : fromText(text, shapeOf(this.fields[name], this.all));
      } catch (error) {
        this.errors[name] = error.message;
      }
    }
    if (Object.keys(this.errors).length) return this.draw();
    try {
      this.values = await post('/config', changes);
      this.edited = {};
      announce('Settings saved');
      this.draw();
      document.getElementById(`in-${this.last}`)?.focus({ preventScroll: true });
      return 'Saved';
    } catch (error) {
      // "port: Input should be …; threads: …" names the fields.
      for (const part of error.details?.split('; ') ?? []) {
        const [, name, words] = /^(\w+)[.\w]*: (.*)$/.exec(part) ?? [];
        if (name in this.fields) this.errors[name] = words;
      }
      if (!Object.keys(this.errors).length) this.error = error;
      this.draw();
      return null;
    }
  }

  async #reset() {
    if (!await ask({ title: 'Reset every setting?', yes: 'Reset all settings', body: h('p', {}, 'Every saved setting goes back to its default, the management key too. Models stay where they are.') })) return null;
    this.values = await post('/config', { defaults: true });
    this.edited = {};
    this.draw();
    return 'All settings are back at their defaults';
  }

  #setting(name) {
    const schema = this.fields[name] ?? { description: '' };
    const { label, unit, when } = aboutSetting(name);
    const fixed = this.#fixedBy(name);
    const isReadOnly = Boolean(fixed) || !(name in this.fields);
    const byDefault = defaultOf(schema);
    return h('div', { key: name, id: `setting-${name}`, class: `setting ${this.found === name ? 'found' : ''}` },
      h('div', {}, h('label', { for: `in-${name}` }, label), unit && h('span', { class: 'muted' }, ` (${unit})`), ' ', h('code', { class: 'small' }, name),
        h('p', { class: 'help', id: `help-${name}` }, prose(withoutDefault(schema)), when && ` Takes effect ${when}.`)),
      h('div', { class: 'value' },
        valueField({ id: `in-${name}`, shape: shapeOf(schema, this.all), value: this.edited[name] ?? this.values[name], disabled: isReadOnly || !isLive(), isSecret: name === SECRET, isWrong: name in this.errors,
          describedBy: `help-${name}`, placeholder: 'not set', onvalue: (text) => { this.edited[this.last = name] = text; delete this.errors[name]; this.update(); } }),
        this.errors[name] && h('p', { class: 'field-error small', role: 'alert' }, this.errors[name]),
        h('p', { class: 'muted small' }, fixed ? `Set by ${fixed === 'command line' ? 'the command line' : fixed}` : isReadOnly ? 'Only in the file or the environment' : byDefault != null ? `Default: ${byDefault === 'null' ? 'not set' : byDefault.replaceAll('"', '')}` : null)));
  }

  /** Scroll to a group and put the focus into it. */
  #show(group) {
    const section = this.querySelector(`section[aria-label="${group}"]`);
    section.scrollIntoView({ block: 'start' });
    section.querySelector('input:not(:disabled), select:not(:disabled), textarea:not(:disabled), button')?.focus({ preventScroll: true });
  }

  view() {
    if (!this.values) return this.error ? errorBox(this.error) : skeleton(10);
    const names = Object.keys(this.values).filter((name) => !NOT_SETTINGS.includes(name));
    const count = Object.keys(this.edited).length;
    const groups = GROUPS.map((group) => [group, names.filter((name) => aboutSetting(name).group === group)]).filter(([, list]) => list.length);
    return h('div', { class: 'stack' },
      h('nav', { key: 'groups', class: 'row chips', 'aria-label': 'Groups of settings' }, [...groups.map(([group]) => group), 'This page', 'System'].map((group) =>
        h('button', { key: group, type: 'button', class: 'chip', onclick: () => this.#show(group) }, group))),
      groups.map(([group, list]) => card(group, { key: group }, h('div', {}, list.map((name) => this.#setting(name))))),
      card('This page', { key: 'page' }, h('div', { class: 'row' }, h('label', { for: 'page-theme' }, 'Theme'), themeSelect({ id: 'page-theme' }), h('label', { for: 'page-speech' }, 'Screen readers read a chat answer'), speechSelect({ id: 'page-speech' }), button('Keyboard shortcuts', showShortcuts),
        h('a', { class: 'button', href: 'docs' }, 'API docs'), h('a', { class: 'button', href: href('cluster') }, 'Cluster')), h('p', { class: 'muted small' }, 'Only this browser remembers these choices; they do not change the service.')),
      h('fl-system-facts', { key: 'system' }),
      card('Reset', { key: 'reset' }, h('div', { class: 'row' }, h('fl-action', { '.label': 'Reset all settings…', '.kind': 'danger', '.run': () => this.#reset() }))),
      errorBox(this.error),
      count > 0 && h('div', { class: 'save-bar', key: 'save', role: 'region', 'aria-label': 'Changes' }, h('span', {}, `${count} ${count === 1 ? 'change' : 'changes'} not saved`),
        h('span', { class: 'row' }, button('Discard', () => { this.edited = {}; this.errors = {}; this.draw(); }), h('fl-action', { '.label': 'Save', '.busy': 'Saving…', '.kind': 'primary', '.run': () => this.#save() }))));
  }
}

customElements.define('fl-settings', Settings);
