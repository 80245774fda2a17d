// <fl-chat-side>: the model, the system prompt and the parameters of the chat; copy, export and clear.

import { clear, conversation, edit, keepHistory, onChange, requestBody } from '../core/conversation.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes } from '../core/format.js';
import { gateway } from '../core/gateway.js';
import { can, displayName, findModel, isLoaded, neededMemory } from '../core/models.js';
import { preference } from '../core/preferences.js';
import { store } from '../core/store.js';
import { button, copyText } from './controls.js';

const PARAMETERS = [['temperature', 'Temperature', 0.1], ['top_p', 'Top P', 0.05], ['top_k', 'Top K', 1], ['min_p', 'Min P', 0.01], ['repeat_penalty', 'Repeat penalty', 0.05], ['max_tokens', 'Max tokens', 1], ['seed', 'Seed', 1]];

function memoryWords(model) {
  const { bytes: size, isExact } = neededMemory(model);
  return size == null ? 'memory unknown' : `${isExact ? '' : '≥ '}${bytes(size)}`;
}

class ChatSide extends View {
  start() {
    const wide = matchMedia('(min-width: 1100px)');
    const onWidth = () => { this.isWide = wide.matches; this.update(); };
    onWidth();
    wide.addEventListener('change', onWidth);
    const endChanges = onChange(() => this.update());
    this.end = () => { endChanges(); wide.removeEventListener('change', onWidth); };
  }

  stop() {
    this.end();
  }

  #picker() {
    const here = (store.state.models ?? []).filter((one) => one.is_downloaded || isLoaded(one));
    const option = (one) => h('option', { key: one.model_id, value: one.simple_name, selected: one.simple_name === conversation.model }, `${displayName(one)} ${one.quantization} · ${memoryWords(one)}`);
    return h('div', { class: 'field' }, h('label', { for: 'chat-model' }, 'Model'),
      h('select', { id: 'chat-model', onchange: (event) => edit({ model: event.target.value }) },
        !conversation.model && h('option', { value: '' }, here.length ? 'Choose a model' : 'No models on this machine yet'),
        h('optgroup', { label: 'Loaded' }, here.filter(isLoaded).map(option)),
        h('optgroup', { label: 'On this machine, needs loading' }, here.filter((one) => !isLoaded(one)).map(option))));
  }

  #set(name, text) {
    const parameters = { ...conversation.parameters };
    if (text.trim() === '' || Number.isNaN(Number(text))) delete parameters[name];
    else parameters[name] = Number(text);
    edit({ parameters });
  }

  async #copyCode(kind) {
    const where = await gateway();
    const base = `${where?.base ?? 'http://127.0.0.1:1234'}/v1`;
    const body = requestBody(conversation.messages.filter((one) => one.role === 'user' || one.content));
    const text = kind === 'curl'
      ? `curl ${base}/chat/completions -H "Authorization: Bearer ${where?.key ?? 'KEY'}" -H "Content-Type: application/json" -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`
      : `import json\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${where?.key ?? 'KEY'}")\nbody = json.loads(${JSON.stringify(JSON.stringify(body))})\nprint(client.post("/chat/completions", body=body, cast_to=object))`;
    await copyText(text, `Copied as ${kind}`);
  }

  #export() {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(requestBody(), null, 2)], { type: 'application/json' }));
    link.download = 'conversation.json';
    link.click();
    URL.revokeObjectURL(link.href);
  }

  view() {
    const given = Object.keys(conversation.parameters).length;
    const hasAny = conversation.messages.length > 0;
    const model = findModel(conversation.model);
    if (can(model, 'embedding') || can(model, 'rerank')) return h('div', { class: 'chat-side card' }, this.#picker());
    return h('div', { class: 'chat-side card' },
      this.#picker(),
      h('details', { class: 'chat-more', open: this.isWide }, h('summary', {}, 'System prompt, parameters, copy, export'),
      h('div', { class: 'field' }, h('label', { for: 'chat-system' }, 'System prompt'),
        h('textarea', { id: 'chat-system', rows: '3', value: conversation.system, placeholder: 'The model’s default', onchange: (event) => edit({ system: event.target.value }) })),
      h('details', {}, h('summary', {}, `Parameters${given ? ` (${given} set)` : ''}`), h('div', { class: 'two' }, PARAMETERS.map(([name, label, step]) =>
        h('div', { key: name, class: 'field' }, h('label', { for: `p-${name}` }, label),
          h('input', { id: `p-${name}`, type: 'number', step: String(step), value: conversation.parameters[name] ?? '', placeholder: 'default', onchange: (event) => this.#set(name, event.target.value) }))))),
      h('div', { class: 'row' }, button('curl', () => this.#copyCode('curl'), { kind: 'quiet', glyph: 'copy', name: 'Copy the conversation as curl', disabled: !hasAny }),
        button('Python', () => this.#copyCode('Python'), { kind: 'quiet', glyph: 'copy', name: 'Copy the conversation as Python', disabled: !hasAny }),
        button('Export', () => this.#export(), { kind: 'quiet', name: 'Export the conversation as JSON', disabled: !hasAny }),
        button('Clear', clear, { kind: 'quiet', name: 'Clear the conversation', disabled: !hasAny })),
      h('label', { class: 'check small' }, h('input', { type: 'checkbox', checked: preference('keepHistory', false), onchange: (event) => keepHistory(event.target.checked) }), 'Keep this conversation in this browser')));
  }
}

customElements.define('fl-chat-side', ChatSide);
