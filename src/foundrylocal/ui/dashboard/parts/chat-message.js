// One message of the conversation and what can be done with it.

import { h } from '../core/dom.js';
import { bytes, duration, milliseconds } from '../core/format.js';
import { findModel, isLoaded } from '../core/models.js';
import { conversation, edit, retry } from '../core/conversation.js';
import { button, copyButton, errorBox } from './controls.js';
import './markdown.js';

const STOP_WORDS = {
  length: (message) => `stopped at the limit of ${message.usage?.completion_tokens ?? '?'} tokens`,
  tool_calls: () => 'asks for a tool',
  content_filter: () => 'stopped by a filter',
  stop: () => '',
};

/** Tokens, speed, first token and why it ended, as far as they are known. */
function figures(message) {
  const written = message.usage?.completion_tokens;
  const writingMs = message.totalMs - (message.firstMs ?? 0);
  const speed = message.timings?.predicted_per_second ?? (written > 1 && writingMs > 0 ? (written - 1) / (writingMs / 1000) : null);
  const cached = message.usage?.prompt_tokens_details?.cached_tokens;
  return [
    written != null && `${written} tokens`, speed && `${speed < 10 ? speed.toFixed(1) : Math.round(speed)} tokens/s`,
    message.firstMs != null && `first token ${milliseconds(message.firstMs)}`, cached > 0 && `${cached} tokens from the cache`,
    message.stopReason ?? STOP_WORDS[message.finish]?.(message) ?? message.finish,
  ].filter(Boolean).join(' · ');
}

function waiting(message) {
  const model = findModel(conversation.model);
  const seconds = duration((Date.now() - message.since) / 1000);
  return model && !isLoaded(model) ? `Loading ${model.simple_name}, ${bytes(model.file_size_bytes)}… ${seconds}` : `Processing the prompt… ${seconds}`;
}

function answer(message, index) {
  const isEmpty = !message.content && !message.thinking && !message.calls?.length;
  return h('article', { key: `answer ${index}`, class: 'message', 'aria-label': 'Answer', 'aria-busy': String(Boolean(message.isRunning)) },
    h('div', { class: 'message-head' }, conversation.model ?? 'Answer'),
    message.thinking && h('details', { class: 'thought' }, h('summary', {}, message.isRunning && !message.content ? 'Thinking…' : 'Thoughts'), h('div', {}, message.thinking)),
    message.content && (message.isRaw ? h('pre', { class: 'raw', tabindex: '0', 'aria-label': 'Answer as it was received' }, message.content) : h('fl-markdown', { '.text': message.content, '.isDone': !message.isRunning })),
    message.calls?.length > 0 && message.calls.map((call, at) => h('details', { key: at, class: 'thought' },
      h('summary', {}, `Calls ${call.name || 'a tool'}`), h('pre', { tabindex: '0' }, call.arguments))),
    message.isRunning && isEmpty && h('p', { class: 'muted' }, waiting(message)),
    errorBox(message.error, [button('Try again', () => retry(index))]),
    !message.isRunning && h('div', { class: 'message-foot' }, h('span', {}, figures(message)),
      h('span', { class: 'row' }, message.content && copyButton(message.content, { name: 'Copy the answer', kind: 'quiet' }),
        message.content && button(message.isRaw ? 'Formatted' : 'Raw', () => { message.isRaw = !message.isRaw; edit({}); }, { kind: 'quiet', name: message.isRaw ? 'Show the formatted answer' : 'Show the answer as it was received' }),
        button('Retry', () => retry(index), { kind: 'quiet', glyph: 'retry', name: 'Ask again for this answer' }), remove(index))));
}

const remove = (index) => button('Delete', () => edit({ messages: conversation.messages.filter((_, at) => at !== index) }), { kind: 'quiet', glyph: 'trash', name: `Delete message ${index + 1}` });

/** @param {(index: number) => void} onEdit puts the message back into the field */
export function chatMessage(message, index, onEdit) {
  if (message.role === 'assistant') return answer(message, index);
  return h('article', { key: `question ${index}`, class: 'message user', 'aria-label': 'Your message' },
    message.images?.length > 0 && h('div', { class: 'thumbs' }, message.images.map((url, at) => h('img', { key: at, src: url, alt: `Image ${at + 1}` }))),
    h('div', { class: 'message-body' }, message.content),
    h('div', { class: 'message-foot' }, button('Edit', () => onEdit(index), { kind: 'quiet', glyph: 'edit', name: `Edit message ${index + 1}` }),
      copyButton(message.content, { name: `Copy message ${index + 1}`, kind: 'quiet' }), remove(index)));
}
