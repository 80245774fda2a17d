// <fl-vector-form>: tries an embedding or a rerank model. Properties: `name`, `kind` (embedding, rerank).

import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { ask } from '../core/gateway.js';
import { errorBox } from './controls.js';

const length = (vector) => Math.hypot(...vector);
const similarity = (a, b) => a.reduce((sum, one, index) => sum + one * b[index], 0) / (length(a) * length(b) || 1);

class VectorForm extends View {
  start() {
    this.query = '';
    this.texts = '';
  }

  async #run() {
    const texts = this.texts.split('\n').map((one) => one.trim()).filter(Boolean);
    this.error = this.found = null;
    try {
      this.found = this.kind === 'rerank' ? await this.#rerank(texts) : await this.#embed(texts);
    } catch (error) {
      this.error = error;
    }
    this.draw();
  }

  async #rerank(documents) {
    const answer = await (await ask('/v1/rerank', { model: this.name, query: this.query, documents })).json();
    return answer.results.map((one) => [one.relevance_score.toFixed(3), documents[one.index]]).sort((a, b) => b[0] - a[0]);
  }

  async #embed(texts) {
    const answer = await (await ask('/v1/embeddings', { model: this.name, input: [this.query, ...texts] })).json();
    const [first, ...others] = answer.data.map((one) => one.embedding);
    this.size = first.length;
    return others.map((one, index) => [similarity(first, one).toFixed(3), texts[index]]).sort((a, b) => b[0] - a[0]);
  }

  view() {
    const isRerank = this.kind === 'rerank';
    return h('section', { class: 'card', 'aria-label': 'Try it' },
      h('h2', {}, isRerank ? 'Which text answers the question best?' : 'How similar are these texts?'),
      h('div', { class: 'field' }, h('label', { for: 'v-query' }, isRerank ? 'Question' : 'Text'), h('input', { id: 'v-query', value: this.query, oninput: (event) => { this.query = event.target.value; this.update(); } })),
      h('div', { class: 'field' }, h('label', { for: 'v-texts' }, isRerank ? 'Texts, one per line' : 'Texts to compare it with, one per line'), h('textarea', { id: 'v-texts', rows: '5', value: this.texts, oninput: (event) => { this.texts = event.target.value; this.update(); } })),
      h('div', { class: 'row' }, h('fl-action', { '.label': isRerank ? 'Rank' : 'Compare', '.busy': 'Working…', '.kind': 'primary', '.blocked': !this.query.trim() || !this.texts.trim(), '.run': () => this.#run() })),
      errorBox(this.error),
      this.found && h('table', {}, h('caption', {}, isRerank ? 'Best first' : `Most similar first; vectors of ${this.size} numbers`),
        h('tbody', {}, this.found.map(([score, text], index) => h('tr', { key: index }, h('td', { class: 'number' }, score), h('td', {}, text))))));
  }
}

customElements.define('fl-vector-form', VectorForm);
