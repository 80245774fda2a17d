// <fl-logs>: the live log, filtered by level, source, model and text; to copy, to save, or for a bug report.

import { post } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { followLog } from '../core/log-stream.js';
import { route } from '../core/router.js';
import { store } from '../core/store.js';
import { button, copyText } from '../parts/controls.js';
import '../parts/log-view.js';

const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'];
const SOURCES = ['FoundryLocalApiService', 'FoundryLocalService', 'HealthMonitor', 'DownloadService', 'API'];
const REPORT_LINES = 200;
const ENGINE = 'engine: ';

class Logs extends View {
  start() {
    this.filter = { level: 'INFO', source: '', text: route().query.get('text') ?? '', engine: false };
    this.end = followLog((lines, isAnew) => this.querySelector('fl-log-view')?.add(lines, isAnew));
    requestAnimationFrame(() => this.#apply());
  }

  stop() {
    this.end();
  }

  #apply() {
    const { level, source, text, engine } = this.filter;
    const least = LEVELS.indexOf(level);
    const words = text.toLowerCase();
    this.querySelector('fl-log-view').filter = (line) => LEVELS.indexOf(line.level) >= least && (!source || line.source === source)
      && (!words || line.message.toLowerCase().includes(words)) && (engine || !line.message.startsWith(ENGINE));
    this.draw();
  }

  #set(name, value) {
    this.filter[name] = value;
    this.#apply();
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
    const { level, source, text, engine } = this.filter;
    return h('div', {},
      h('div', { class: 'log-tools' },
        h('select', { 'aria-label': 'Minimum level', onchange: (event) => this.#set('level', event.target.value) }, LEVELS.map((one) => h('option', { value: one, selected: one === level }, `${one} and above`))),
        h('select', { 'aria-label': 'Source', onchange: (event) => this.#set('source', event.target.value) }, h('option', { value: '' }, 'All sources'), SOURCES.map((one) => h('option', { key: one, value: one, selected: one === source }, one))),
        h('input', { type: 'search', 'data-filter': true, 'aria-label': 'Text in the line', placeholder: 'Model or text', list: 'log-models', value: text, oninput: (event) => this.#set('text', event.target.value) }),
        store.state.models && this.#names(store.state.models),
        h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: engine, onchange: (event) => this.#set('engine', event.target.checked) }), 'Engine lines'),
        h('span', { class: 'row' }, button('Copy', () => copyText(this.#text(this.querySelector('fl-log-view').shown), 'Log copied'), { kind: 'quiet', glyph: 'copy', name: 'Copy the lines that are shown' }),
          button('Save', () => this.#download(), { kind: 'quiet', name: 'Save the lines that are shown as a file' }),
          h('fl-action', { '.label': 'Copy for a bug report', '.busy': 'Copying…', '.kind': 'quiet', '.run': () => this.#report() }))),
      h('fl-log-view', {}));
  }
}

customElements.define('fl-logs', Logs);
