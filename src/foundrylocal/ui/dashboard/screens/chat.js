// <fl-chat>: try a model: a conversation with its parameters, or a small form for models that do not chat.

import { conversation, edit, onChange } from '../core/conversation.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { can, findModel, isLoaded } from '../core/models.js';
import { href, route } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { chatMessage } from '../parts/chat-message.js';
import { empty } from '../parts/controls.js';
import '../parts/chat-side.js';
import '../parts/composer.js';
import '../parts/vector-form.js';

const NEAR_END_PX = 120;

class Chat extends View {
  start() {
    const wanted = route().query.get('model');
    if (wanted) edit({ model: wanted });
    this.end = onChange(() => this.#changed());
    this.timer = setInterval(() => conversation.running && this.update(), 1000);
  }

  stop() {
    this.end();
    clearInterval(this.timer);
  }

  /** Without a choice: the current model, one that is loaded, or the first that is here. */
  #choose() {
    const models = store.state.models ?? [];
    const usable = (one) => one.is_downloaded || isLoaded(one);
    if (!store.state.models || (conversation.model && findModel(conversation.model))) return;
    const found = models.find((one) => one.simple_name === store.state.server?.current_model) ?? models.find(isLoaded) ?? models.find(usable);
    if (found) edit({ model: found.simple_name });
  }

  #changed() {
    const page = document.documentElement;
    const isAtEnd = page.scrollHeight - scrollY - innerHeight < NEAR_END_PX;
    this.draw();
    if (isAtEnd && conversation.messages.length) scrollTo(0, page.scrollHeight);
  }

  #thread(model) {
    if (!conversation.messages.length) {
      return empty(model ? `Ask ${model.simple_name} something` : 'No models on this machine yet', model
        ? h('p', {}, isLoaded(model) ? 'It is loaded and ready to answer.' : 'It is loaded when you send the first message.', !can(model, 'chat') && ' It was not made for conversations: it completes text.')
        : h('a', { class: 'button', href: href('models', null, { tab: 'catalogue' }) }, 'Choose one from the catalogue'));
    }
    return conversation.messages.map((message, index) => chatMessage(message, index, (at) => this.#edit(at)));
  }

  #edit(index) {
    const message = conversation.messages[index];
    edit({ messages: conversation.messages.slice(0, index) });
    this.querySelector('fl-composer').fill(message.content, message.images);
  }

  view() {
    queueMicrotask(() => this.#choose());
    const model = conversation.model ? findModel(conversation.model) : null;
    const kind = ['embedding', 'rerank'].find((one) => can(model, one));
    return [
      kind ? h('div', { key: 'form', class: 'chat-main' }, h('fl-vector-form', { key: model.simple_name, '.name': model.simple_name, '.kind': kind }))
        : h('div', { key: 'chat', class: 'chat-main' },
          h('div', { class: 'thread', role: 'log', 'aria-live': 'off', 'aria-label': 'Conversation' }, this.#thread(model)),
          h('fl-composer', { class: 'composer', '.takesImages': can(model, 'vision'), '.blocked': !isLive() ? 'The service does not answer' : model ? '' : 'Choose a model first' })),
      h('fl-chat-side', { key: 'side' }),
    ];
  }
}

customElements.define('fl-chat', Chat);
