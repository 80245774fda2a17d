// Small pieces that many screens use, as functions that describe them.

import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { icon } from './icons.js';

/** A button; `kind` is primary, plain (default), danger or quiet. */
export function button(label, onclick, { kind = 'plain', name, disabled, glyph, ...rest } = {}) {
  return h('button', { type: 'button', class: `button ${kind}`, onclick, disabled, 'aria-label': name, ...rest },
    glyph && icon(glyph), h('span', {}, label));
}

/** A button that shows nothing but a drawing; `name` is read aloud and shown as a tooltip. */
export const iconButton = (glyph, name, onclick, rest = {}) =>
  h('button', { type: 'button', class: 'button icon-only', 'aria-label': name, title: name, onclick, ...rest }, icon(glyph));

export const link = (label, href, props = {}) => h('a', { href, ...props }, label);

/** A link to elsewhere; anything but http and https is shown as text. */
export function outside(label, address) {
  return /^https?:\/\//i.test(address)
    ? h('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, label)
    : h('span', {}, label);
}

/** Text in which backticks mark code, as in descriptions of the API. */
export const prose = (text) => text.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));

export const tag = (words, tone = '') => h('span', { class: `tag ${tone}` }, words);

/** A state in words with a dot; tone is good, busy, warn, bad or idle. */
export const stateMark = (words, tone) => h('span', { class: `state ${tone}` }, h('span', { class: 'dot' }), h('span', { class: 'words' }, words));

export async function copyText(text, what = 'Copied') {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without the clipboard's permission or https the old way still works.
    const area = document.createElement('textarea');
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  announce(what);
}

/** A button that copies what `text()` returns and says so. */
export function copyButton(text, { label = 'Copy', name, kind = 'plain' } = {}) {
  const onclick = async (event) => {
    const node = event.currentTarget.querySelector('span');
    await copyText(typeof text === 'function' ? text() : text, `${name ?? label}: copied`);
    node.textContent = 'Copied';
    setTimeout(() => { node.textContent = label; }, 1500);
  };
  return button(label, onclick, { kind, name, glyph: 'copy' });
}

/** What happened, why, what next; with Copy. */
export function errorBox(error, actions = []) {
  if (!error) return null;
  const words = [error.message, error.details].filter(Boolean).join('\n');
  return h('div', { class: 'error-box', role: 'alert' },
    h('div', { class: 'error-head' }, icon('warning'), h('strong', {}, error.message)),
    error.details && h('p', {}, error.details),
    h('div', { class: 'row' }, actions, copyButton(words, { name: 'Copy the error', kind: 'quiet' })));
}

/** A bar from 0 to 100; without a percentage it says only that something is in progress. */
export function progress(percent, name) {
  const known = percent != null;
  return h('div', { class: `bar ${known ? '' : 'unknown'}`, role: 'progressbar', 'aria-label': name, 'aria-valuemin': '0',
    'aria-valuemax': '100', 'aria-valuenow': known ? String(Math.round(percent)) : null },
  h('div', { class: 'bar-fill', vars: { '--share': `${known ? percent : 100}%` } }));
}

/** Tabs as links, since each has an address. */
export function tabs(name, entries, current, address) {
  return h('nav', { class: 'tabs', 'aria-label': name }, entries.map(([id, label, number]) => h('a',
    { key: id, href: address(id), 'aria-current': id === current ? 'page' : null },
    label, number != null && h('span', { class: 'count' }, String(number)))));
}

/** A button that is on or off. */
export const chip = (label, isOn, onclick) =>
  h('button', { type: 'button', class: 'chip', 'aria-pressed': String(Boolean(isOn)), onclick, key: label }, label);

export function card(title, { actions, tone = '', key } = {}, ...body) {
  return h('section', { class: `card ${tone}`, 'aria-label': title, key },
    h('div', { class: 'card-head' }, h('h2', {}, title), actions && h('div', { class: 'row' }, actions)), body);
}

export const empty = (title, ...body) => h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), body);

/** Rows in place of what is still being read. */
export const skeleton = (rows = 3) => h('div', { class: 'skeleton', role: 'status', 'aria-busy': 'true', 'aria-label': 'Loading' },
  Array.from({ length: rows }, () => h('div', { class: 'skeleton-row' })));

export const facts = (rows) => h('dl', { class: 'facts' }, rows.filter(Boolean).map(([name, ...value]) =>
  h('div', { key: name }, h('dt', {}, name), h('dd', {}, value))));
