// All endpoints by subject: the column with them, the index beside it, and the filter of both.

import { el } from './elements.js';
import { endpoint } from './endpoint.js';

const $ = (id) => document.getElementById(id);

/** [method, path, operation] by tag, in the order of the description. */
function bySubject(paths) {
  const groups = new Map();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other';
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  }
  return groups;
}

function indexLink(method, path, base, id) {
  const short = path.startsWith(base) ? path.slice(base.length) : path;
  return el('a', { href: `#${id}`, onclick: () => open(id) },
    el('span', { class: `method ${method}` }, method.toUpperCase()), el('span', { title: path }, short.replace('{model_name}', '{name}')));
}

/** @param {{text: string, link: HTMLElement, id: string}[]} rows */
function filterRows(rows) {
  const wanted = $('filter').value.toLowerCase();
  for (const { text, link, id } of rows) link.hidden = $(id).hidden = !text.includes(wanted);
  // A heading without an endpoint beneath it says nothing.
  for (const heading of document.querySelectorAll('#index h2, main > h2')) {
    let next = heading.nextElementSibling;
    while (next && next.localName !== 'h2' && next.hidden) next = next.nextElementSibling;
    heading.hidden = !next || next.localName === 'h2';
  }
  const shown = rows.filter(({ link }) => !link.hidden).length;
  $('count').textContent = wanted ? `${shown} of ${rows.length}` : '';
}

/** Open the row of an endpoint. */
export function open(id) {
  const details = $(id)?.querySelector('details');
  if (details) details.open = true;
}

/** Fill the page with the endpoints of a description. */
export function showEndpoints(description, schemas) {
  const groups = bySubject(description.paths);
  const base = Object.keys(description.paths)[0].split('/').slice(0, 4).join('/');
  const rows = [];
  for (const [tag, entries] of groups) {
    $('index').append(el('h2', {}, tag));
    for (const [method, path, operation] of entries) {
      const link = indexLink(method, path, base, operation.operationId);
      $('index').append(link);
      rows.push({ text: `${method} ${path} ${operation.summary}`.toLowerCase(), link, id: operation.operationId });
    }
  }
  $('content').replaceChildren(el('p', { class: 'about' }, `Version ${description.info.version}. ${description.info.description}`),
    ...[...groups].flatMap(([tag, entries]) => [el('h2', {}, tag), ...entries.map((entry) => endpoint(schemas, ...entry))]));
  $('filter').addEventListener('input', () => filterRows(rows));
}
