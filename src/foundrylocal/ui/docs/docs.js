// The page at /docs: reads openapi.json and shows every endpoint. Text is inserted as text, never as HTML.

import { Schemas } from './schemas.js';

const $ = (id) => document.getElementById(id);

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

// Descriptions use backticks for code and no other Markdown.
function prose(text) {
  return (text ?? '').split('`').map((part, index) => (index % 2 ? el('code', {}, part) : part));
}

const code = (text) => el('pre', { tabindex: '0' }, el('code', {}, text));
const pretty = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function fields(schemas, schema) {
  const shape = schemas.resolve(schema);
  const rows = [];
  const walk = (part, prefix) => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      const needed = part.required?.includes(name);
      rows.push(el('tr', {},
        el('td', {}, el('code', {}, prefix + name)),
        el('td', {}, schemas.name(field), needed ? '' : el('span', { class: 'muted' }, ' optional')),
        el('td', { class: 'muted' }, ...prose([field.description, schemas.limits(field)].filter(Boolean).join(' ')))));
      const inner = schemas.resolve(field);
      if (inner.properties && prefix.split('.').length < 3) walk(inner, `${prefix}${name}.`);
    }
  };
  walk(shape, '');
  return rows.length ? el('div', { class: 'fields', tabindex: '0', role: 'group', 'aria-label': 'Fields' }, el('table', {}, el('tbody', {}, ...rows))) : null;
}

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((one) => el('tr', {},
    el('td', {}, el('code', {}, one.name)),
    el('td', {}, `${one.in}${one.required ? '' : ', optional'}`),
    el('td', { class: 'muted' }, ...prose(one.description))));
  return rows.length ? [el('h3', {}, 'Parameters'), el('table', {}, el('tbody', {}, ...rows))] : [];
}

function response(schemas, status, answer) {
  const parts = [];
  for (const [kind, content] of Object.entries(answer.content ?? {})) {
    if (content.examples) {
      for (const one of Object.values(content.examples)) parts.push(code(pretty(one.value)));
    } else if (content.example !== undefined) {
      parts.push(code(pretty(content.example)));
    } else if (content.schema) {
      parts.push(code(pretty(schemas.example(content.schema))));
    }
    if (status === '200' && kind === 'application/json') parts.push(fields(schemas, content.schema));
  }
  return el('details', { class: 'response', open: status === '200' },
    el('summary', {},
      el('span', { class: `status ${status < '400' ? 'good' : 'bad'}` }, status),
      el('span', { class: 'what' }, ...prose(answer.description))),
    ...parts.filter(Boolean));
}

function curl(method, path, body) {
  const lines = [`curl${method === 'get' ? '' : ` -X ${method.toUpperCase()}`} ${location.origin}${path}`];
  if (body) {
    lines.push('  -H "Content-Type: application/json"', `  -d '${JSON.stringify(body)}'`);
  }
  return lines.join(' \\\n');
}

// Reads the answer as it arrives, event streams included; can be aborted.
async function call(method, path, body, out, stop) {
  const headers = body ? { 'Content-Type': 'application/json' } : {};
  if ($('key').value) headers.Authorization = `Bearer ${$('key').value}`;
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

function tryIt(schemas, method, path, operation) {
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

function endpoint(schemas, method, path, operation) {
  const id = operation.operationId;
  const shape = operation.requestBody?.content?.['application/json']?.schema;
  const body = shape && schemas.example(shape);
  const details = el('details', {},
    el('summary', {},
      el('span', { class: `method ${method}` }, method.toUpperCase()),
      el('code', {}, path), el('span', { class: 'what' }, ...prose(operation.summary))));
  // Render an endpoint when it is opened; most never are.
  details.addEventListener('toggle', () => {
    if (!details.open || details.children.length > 1) return;
    details.append(el('div', { class: 'inside' },
      code(curl(method, path, body)),
      ...parameters(operation),
      ...(shape ? [el('h3', {}, 'Body'), fields(schemas, shape)] : []),
      el('h3', {}, 'Answers'),
      ...Object.entries(operation.responses).map(([status, answer]) => response(schemas, status, answer)),
      ...tryIt(schemas, method, path, operation).filter(Boolean)));
  });
  return el('article', { id }, details);
}

function open(id) {
  const details = document.getElementById(id)?.querySelector('details');
  if (details) details.open = true;
}

function show(document_) {
  const schemas = new Schemas(document_);
  const groups = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other';
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  }
  const common = Object.keys(document_.paths)[0].split('/').slice(0, 4).join('/');
  const rows = [];
  for (const [tag, entries] of groups) {
    $('index').append(el('h2', {}, tag));
    for (const [method, path, operation] of entries) {
      const short = path.startsWith(common) ? path.slice(common.length) : path;
      const link = el('a', { href: `#${operation.operationId}`, onclick: () => open(operation.operationId) },
        el('span', { class: `method ${method}` }, method.toUpperCase()), el('span', { title: path }, short.replace('{model_name}', '{name}')));
      $('index').append(link);
      rows.push([`${method} ${path} ${operation.summary}`.toLowerCase(), link, operation.operationId]);
    }
  }
  $('content').replaceChildren(el('p', { class: 'about' }, `Version ${document_.info.version}. ${document_.info.description}`), ...[...groups].flatMap(([tag, entries]) => [el('h2', {}, tag),
    ...entries.map((entry) => endpoint(schemas, ...entry))]));
  $('filter').addEventListener('input', () => {
    const wanted = $('filter').value.toLowerCase();
    for (const [text, link, id] of rows) {
      link.hidden = !text.includes(wanted);
      document.getElementById(id).hidden = link.hidden;
    }
    const shown = rows.filter(([, link]) => !link.hidden).length;
    $('count').textContent = wanted ? `${shown} of ${rows.length}` : '';
  });
  if (location.hash) {
    open(location.hash.slice(1));
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

try {
  const answer = await fetch('openapi.json');
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  show(await answer.json());
} catch (error) {
  $('content').replaceChildren(el('p', { class: 'bad' }, `The description could not be read. ${error}`));
}
