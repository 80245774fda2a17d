// The conversation of the chat: one for the tab, kept in memory; in this browser's storage only when switched on.

import { ask } from './gateway.js';
import { prefer, preference } from './preferences.js';
import { events } from './sse.js';
import { announce } from './announce.js';

const listeners = new Set();
const DRAW_MS = 60;

export const conversation = {
  model: null,
  system: '',
  /** Sampling parameters that were given; what is left out is the model's default. */
  parameters: {},
  /** @type {object[]} role, content, images, thinking, calls, figures, error, isRunning */
  messages: [],
  /** @type {AbortController | null} */
  running: null,
  ...preference('conversation', {}),
};

export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let timer = null;
function changed(isNow = true) {
  if (!isNow) {
    timer ??= setTimeout(() => changed(), DRAW_MS);
    return;
  }
  clearTimeout(timer);
  timer = null;
  for (const listener of listeners) listener();
  if (!conversation.running) save();
}

/** Keep it in this browser if the user asked for that. */
function save() {
  const { model, system, parameters, messages } = conversation;
  if (preference('keepHistory', false)) prefer('conversation', { model, system, parameters, messages: messages.map((one) => ({ ...one, isRunning: false })) });
}

export function keepHistory(isKept) {
  prefer('keepHistory', isKept);
  if (isKept) save();
  else prefer('conversation', {});
  changed();
}

export function edit(fields) {
  Object.assign(conversation, fields);
  changed();
}

export const stop = () => conversation.running?.abort();

export function clear() {
  stop();
  edit({ messages: [] });
}

/** Send a new message, with images as data addresses. */
export function send(text, images = []) {
  conversation.messages.push({ role: 'user', content: text, images });
  return answer();
}

/** Ask again for the answer at this place, dropping what follows. */
export function retry(index) {
  stop();
  conversation.messages.length = index;
  return answer();
}

/** The body that is sent; also what is copied as curl or Python. */
export function requestBody(messages = conversation.messages) {
  const { model, system, parameters } = conversation;
  return {
    model, ...parameters,
    messages: [...(system.trim() ? [{ role: 'system', content: system }] : []), ...messages.filter((one) => !one.error || one.content).map((one) => ({
      role: one.role,
      content: one.images?.length ? [{ type: 'text', text: one.content }, ...one.images.map((url) => ({ type: 'image_url', image_url: { url } }))] : one.content,
    }))],
  };
}

async function answer() {
  const message = { role: 'assistant', content: '', thinking: '', calls: [], isRunning: true, since: Date.now() };
  const body = { ...requestBody(), stream: true, stream_options: { include_usage: true } };
  const running = (conversation.running = new AbortController());
  conversation.messages.push(message);
  changed();
  try {
    for await (const event of events(await ask('/v1/chat/completions', body, running.signal))) take(message, event);
    speak(message, true);
  } catch (error) {
    if (running.signal.aborted) message.stopReason = 'stopped by you';
    else message.error = { message: error.message, details: error.details };
  }
  message.isRunning = false;
  message.totalMs = Date.now() - message.since;
  if (conversation.running === running) conversation.running = null;
  changed();
}

/** Tell screen readers what the model said: whole when it is done, or each sentence as it is completed. */
function speak(message, isDone) {
  const text = message.content;
  if (preference('speakAnswers', 'whole') !== 'sentence') {
    if (isDone) announce(`Answer: ${text || 'no text'}`);
    return;
  }
  const from = message.spokenChars ?? 0;
  const to = isDone ? text.length : Math.max(...['. ', '! ', '? ', '\n'].map((end) => text.lastIndexOf(end))) + 1;
  if (text.slice(from, to).trim()) announce(text.slice(from, to).trim());
  message.spokenChars = Math.max(from, to);
}

/** Add what one event of the stream brings. */
function take(message, event) {
  if (event.error) throw Object.assign(new Error(event.error.message), { details: event.error.details ?? '' });
  if (event.usage) message.usage = event.usage;
  if (event.timings) message.timings = event.timings;
  const choice = event.choices?.[0];
  if (!choice) return;
  const { delta = {} } = choice;
  if (delta.content || delta.reasoning_content || delta.tool_calls) message.firstMs ??= Date.now() - message.since;
  message.content += delta.content ?? '';
  message.thinking += delta.reasoning_content ?? '';
  for (const call of delta.tool_calls ?? []) {
    const known = (message.calls[call.index] ??= { name: '', arguments: '' });
    known.name += call.function?.name ?? '';
    known.arguments += call.function?.arguments ?? '';
  }
  if (choice.finish_reason) message.finish = choice.finish_reason;
  speak(message, false);
  changed(false);
}
