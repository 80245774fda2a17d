// Sends a request of the reader's own to this service and shows the answer as it arrives.

import { el, pretty } from './elements.js';

/** The key that the reader typed in at the top of the page. */
const key = () => document.getElementById('key').value;

/** Read the answer as it arrives, event streams included, until `stop` aborts it. */
async function call(method, path, body, out, stop) {
  const headers = body ? { 'Content-Type': 'application/json' } : {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  out.textContent = '';
  try {
    const answer = await fetch(path, { method: method.toUpperCase(), headers, body, signal: stop.signal });
    out.textContent = `${answer.status} ${answer.statusText}\n\n`;
    const isJson = answer.headers.get('content-type')?.startsWith('application/json');
    if (isJson) {
      out.textContent += pretty(await answer.json());
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      out.textContent = (out.textContent + value).slice(-100000);
    }
  } catch (error) {
    out.textContent += stop.signal.aborted ? '\n(stopped)' : String(error);
  }
}

export function tryIt(schemas, method, path, operation) {
  const inputs = (operation.parameters ?? []).filter((one) => one.in !== 'header').map((one) => [one,
    el('input', { placeholder: one.name, 'aria-label': one.name, value: '' })]);
  const shape = operation.requestBody?.content?.['application/json']?.schema;
  const area = shape && el('textarea', { 'aria-label': 'Request body' }, pretty(schemas.example(shape)));
  const out = el('code', {});
  const box = el('pre', { hidden: true, tabindex: '0', 'aria-live': 'polite' }, out);
  let running = null;
  const send = async () => {
    let target = path;
    const query = new URLSearchParams();
    for (const [one, input] of inputs) {
      if (one.in === 'path') target = target.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(one.name, input.value);
    }
    running?.abort();
    running = new AbortController();
    box.hidden = false;
    await call(method, query.size ? `${target}?${query}` : target, area?.value, out, running);
  };
  return [el('section', { class: 'try', 'aria-label': 'Try it' }, el('h3', {}, 'Try it'), ...inputs.map(([, input]) => el('div', { class: 'row' }, input)), area,
    el('div', { class: 'row' },
      el('button', { type: 'button', class: 'button primary', onclick: send }, 'Send'),
      el('button', { type: 'button', class: 'button', onclick: () => running?.abort() }, 'Stop'),
      el('span', { class: 'muted small' }, 'It calls this service, with the key above.')),
    box)];
}
