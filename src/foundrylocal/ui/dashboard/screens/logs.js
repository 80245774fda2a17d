// <fl-logs>: the live log, filtered by level, source, model and text; to copy, to save, or for a bug report.

import { post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { followLog } from '../core/log-stream.js';
import { href, route } from '../core/router.js';
import { store } from '../core/store.js';
import { button, copyText } from '../parts/controls.js';
import '../parts/log-view.js';

const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'];
const SOURCES = ['FoundryLocalApiService', 'FoundryLocalService', 'HealthMonitor', 'DownloadService', 'API'];
const REPORT_LINES = 200;
const ENGINE = 'engine: ';

class Logs extends View {
  start() {
    this.onHash = () => this.#apply();
    addEventListener('hashchange', this.onHash);
    this.end = followLog((lines, isAnew) => this.querySelector('fl-log-view')?.add(lines, isAnew));
    requestAnimationFrame(() => this.#apply());
  }

  stop() {
    removeEventListener('hashchange', this.onHash);
    this.end();
  }

  /** What the address asks for. */
  #filter() {
    const { query } = route();
    const level = query.get('level');
    return { level: LEVELS.includes(level) ? level : 'INFO', source: query.get('source') ?? '', text: query.get('text') ?? '', engine: query.get('engine') === '1' };
  }

  #apply() {
    if (route().screen !== 'logs') return;
    this.draw();
    const now = JSON.stringify(this.#filter());
    if (now === this.applied) return;
    this.applied = now;
    const { level, source, text, engine } = this.#filter();
    const least = LEVELS.indexOf(level);
    const words = text.toLowerCase();
    this.querySelector('fl-log-view').filter = (line) => LEVELS.indexOf(line.level) >= least && (!source || line.source === source)
      && (!words || line.message.toLowerCase().includes(words)) && (engine || !line.message.startsWith(ENGINE));
  }

  #change(fields) {
    const { level, source, text, engine } = { ...this.#filter(), ...fields };
    // Without an event: only this screen depends on it, and a key must not redraw the others.
    history.replaceState(null, '', href('logs', null, { level: level === 'INFO' ? null : level, source, text, engine: engine ? '1' : null }));
    this.#apply();
  }

  /** A screen reader reads new lines only when it is asked to: they may be many. */
  #speak(isSpoken) {
    this.isSpoken = isSpoken;
    this.querySelector('.log-box').setAttribute('aria-live', isSpoken ? 'polite' : 'off');
    this.draw();
  }

  #text(lines) {
    return lines.map((line) => `${line.timestamp} ${line.level} ${line.source} ${line.message}`).join('\n');
  }

  #download() {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([this.#text(this.querySelector('fl-log-view').shown)], { type: 'text/plain' }));
    link.download = 'foundrylocal.log';
    link.click();
    URL.revokeObjectURL(link.href);
  }

  /** Versions, settings without keys, the last lines. */
  async #report() {
    const { success, message, overridden, ...settings } = await post('/config', {});
    const { info, server } = store.state;
    const lines = this.querySelector('fl-log-view').lines.slice(-REPORT_LINES);
    await copyText(['FoundryLocal bug report', `API ${info?.version}, engine ${info?.foundry_local_version}, ${navigator.userAgent}`, `Server: ${JSON.stringify(server)}`,
      `Settings: ${JSON.stringify({ ...settings, management_key: undefined })}`, `Overridden: ${JSON.stringify(overridden)}`, '', this.#text(lines)].join('\n'), 'Bug report copied');
    return 'Copied. Check it before you share it: it contains names of models and folders.';
  }

  /** Names to choose from; described anew only when the models change, for there may be thousands. */
  #names(models) {
    if (this.named !== models) {
      this.names = h('datalist', { id: 'log-models' }, models.filter((one) => one.is_downloaded).map((one) => h('option', { key: one.simple_name, value: one.simple_name })));
      this.named = models;
    }
    return this.names;
  }

  view() {
    const { level, source, text, engine } = this.#filter();
    return h('div', {},
      h('div', { class: 'log-tools' },
        h('select', { 'aria-label': 'Minimum level', onchange: (event) => this.#change({ level: event.target.value }) }, LEVELS.map((one) => h('option', { value: one, selected: one === level }, `${one} and above`))),
        h('select', { 'aria-label': 'Source', onchange: (event) => this.#change({ source: event.target.value }) }, h('option', { value: '' }, 'All sources'), SOURCES.map((one) => h('option', { key: one, value: one, selected: one === source }, one))),
        h('input', { type: 'search', 'data-filter': true, 'aria-label': 'Text in the line', placeholder: 'Model or text', list: 'log-models', value: text, oninput: (event) => this.#change({ text: event.target.value }) }),
        store.state.models && this.#names(store.state.models),
        h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: engine, onchange: (event) => this.#change({ engine: event.target.checked }) }), 'Engine lines'),
        h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: this.isSpoken === true, onchange: (event) => this.#speak(event.target.checked) }), 'Read aloud'),
        h('span', { class: 'row' }, button('Copy', () => copyText(this.#text(this.querySelector('fl-log-view').shown), 'Log copied'), { kind: 'quiet', glyph: 'copy', name: 'Copy the lines that are shown' }),
          button('Save', () => this.#download(), { kind: 'quiet', name: 'Save the lines that are shown as a file' }),
          h('fl-action', { '.label': 'Copy for a bug report', '.busy': 'Copying…', '.kind': 'quiet', '.run': () => this.#report() }))),
      h('fl-log-view', {}));
  }
}

customElements.define('fl-logs', Logs);
