// One endpoint: what it takes, what it answers, and a form to try it.

import { code, el, pretty, prose } from './elements.js';
import { tryIt } from './try-it.js';

/** Words as a sentence; nothing stays nothing. */
const sentence = (words) => words && `${words[0].toUpperCase()}${words.slice(1)}.`;

function fields(schemas, schema) {
  const shape = schemas.resolve(schema);
  const rows = [];
  const walk = (part, prefix) => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      const needed = part.required?.includes(name);
      rows.push(el('tr', {},
        el('td', {}, el('code', {}, prefix + name)),
        el('td', {}, schemas.name(field), needed ? '' : el('span', { class: 'muted' }, ' optional')),
        el('td', { class: 'muted' }, ...prose([field.description, sentence(schemas.limits(field))].filter(Boolean).join(' ')))));
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

/** A closed row that is filled when it is opened. */
export function endpoint(schemas, method, path, operation) {
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
