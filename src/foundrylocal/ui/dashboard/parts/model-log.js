// <fl-model-log>: the recent log lines that name a model. Property: `name`.

import { get } from '../core/api.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { href } from '../core/router.js';
import { clock } from '../core/format.js';
import { empty, errorBox, skeleton } from './controls.js';

const MAX_LINES = 200;

class ModelLog extends View {
  start() {
    get('/logs?count=2000').then((lines) => { this.lines = lines.filter((line) => line.message.includes(this.name)).slice(-MAX_LINES); })
      .catch((error) => { this.error = error; }).finally(() => this.update());
  }

  view() {
    if (!this.lines) return this.error ? errorBox(this.error) : skeleton(4);
    return [this.lines.length ? h('ul', { class: 'plain-list mono' }, this.lines.map((line, index) => h('li', { key: index }, `${clock(line.timestamp)} ${line.level} ${line.message}`)))
      : empty('No log line mentions this model'), h('p', {}, h('a', { href: href('logs', null, { text: this.name }) }, 'Open the log'))];
  }
}

customElements.define('fl-model-log', ModelLog);
