// <fl-downloads>: the drawer with what is being downloaded and what ended.

import { cancelDownload, download, load, pauseDownload } from '../core/actions.js';
import { announce } from '../core/announce.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { cycleTab } from '../core/focus.js';
import { ago, bytes, duration } from '../core/format.js';
import { href } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { button, empty, errorBox, iconButton, progress, stateMark } from './controls.js';

const STATES = { queued: ['Queued', 'idle'], downloading: ['Downloading', 'busy'], verifying: ['Verifying', 'busy'], paused: ['Paused', 'idle'] };

/** Bytes, speed and time left in one line. */
export function measureLine(measure) {
  if (!measure) return '';
  const parts = [`${bytes(measure.downloaded_bytes)} of ${bytes(measure.total_bytes)}`];
  if (measure.stage === 'downloading' && measure.bytes_per_second) parts.push(`${bytes(measure.bytes_per_second)}/s`);
  if (measure.stage === 'downloading' && measure.eta_seconds != null) parts.push(`${duration(measure.eta_seconds)} left`);
  return parts.join(' · ');
}

class Downloads extends View {
  start() {
    this.isOpen = false;
    this.cleared = new Set();
    this.spoken = new Map();
    this.onKey = (event) => { if (event.key === 'Escape' && this.isOpen && !document.querySelector('dialog[open]')) this.toggle(); };
    addEventListener('keydown', this.onKey);
  }

  stop() {
    removeEventListener('keydown', this.onKey);
  }

  toggle() {
    this.isOpen = !this.isOpen;
    if (this.isOpen) this.opener = document.activeElement;
    this.draw();
    if (this.isOpen) this.querySelector('button')?.focus();
    else this.opener?.focus?.();
  }

  /** Progress is spoken at 25, 50 and 75 percent and at the end. */
  #speak() {
    for (const one of store.state.downloads) {
      const step = Math.floor((one.progress?.percent ?? 0) / 25) * 25;
      if (step && step < 100 && this.spoken.get(one.model_name) !== step) announce(`${one.model_name}: ${step} percent`);
      this.spoken.set(one.model_name, step);
    }
    for (const one of store.state.ended) {
      const id = `${one.model_name} ${one.ended_at}`;
      if (this.spoken.has(id)) continue;
      this.spoken.set(id, 100);
      if (this.hasDrawn) announce(`Download of ${one.model_name}: ${one.state}`);
    }
    this.hasDrawn = true;
    this.#forget();
  }

  /** Forget downloads that the service no longer lists. */
  #forget() {
    const known = new Set([...store.state.downloads.map((one) => one.model_name), ...store.state.ended.map((one) => `${one.model_name} ${one.ended_at}`)]);
    for (const id of this.spoken.keys()) if (!known.has(id)) this.spoken.delete(id);
    for (const id of this.cleared) if (!known.has(id)) this.cleared.delete(id);
  }

  #running(one) {
    const [words, tone] = STATES[one.state] ?? [one.state, 'busy'];
    const name = one.model_name;
    return h('li', { key: `run ${name}`, class: 'download' },
      h('div', { class: 'split' }, h('a', { href: href('models', name), class: 'strong' }, name), stateMark(words, tone)),
      progress(one.progress?.percent ?? (one.state === 'paused' ? 0 : null), `Download of ${name}`),
      h('p', { class: 'muted small' }, measureLine(one.progress) || 'Waiting for its turn'),
      errorBox(store.state.jobs[name]?.error),
      h('div', { class: 'row' },
        one.state === 'paused'
          ? button('Resume', () => download(name), { name: `Resume the download of ${name}`, glyph: 'play', disabled: !isLive() })
          : button('Pause', () => pauseDownload(name), { name: `Pause the download of ${name}`, glyph: 'pause', disabled: !isLive() || one.state === 'verifying' }),
        button('Cancel', () => cancelDownload(name), { name: `Cancel the download of ${name}`, kind: 'quiet', disabled: !isLive() })));
  }

  #ended(one) {
    const isDone = one.state === 'done';
    const words = isDone ? 'Done' : one.state === 'failed' ? 'Failed' : 'Cancelled';
    const isHere = store.state.models?.find((model) => model.simple_name === one.model_name)?.is_downloaded;
    return h('li', { key: `${one.model_name} ${one.ended_at}`, class: 'download' },
      h('div', { class: 'split' }, h('a', { href: href('models', one.model_name), class: 'strong' }, one.model_name),
        stateMark(words, isDone ? 'good' : one.state === 'failed' ? 'bad' : 'idle')),
      h('p', { class: 'muted small' }, isDone ? `${bytes(one.file_size_bytes)} · ${ago(one.ended_at)}`
        : `${one.kept_bytes ? `kept ${bytes(one.kept_bytes)} for next time · ` : ''}${ago(one.ended_at)}`),
      one.error && errorBox(one.error),
      h('div', { class: 'row' }, isDone
        ? button('Load', () => load(one.model_name), { name: `Load ${one.model_name}`, disabled: !isLive() || !isHere })
        : button(one.state === 'failed' ? 'Try again' : 'Download', () => download(one.model_name), { name: `Download ${one.model_name} again`, disabled: !isLive() })));
  }

  view() {
    this.#speak();
    if (!this.isOpen) return null;
    const { downloads } = store.state;
    const ended = store.state.ended.filter((one) => !this.cleared.has(`${one.model_name} ${one.ended_at}`)
      && !downloads.some((running) => running.model_name === one.model_name)).reverse();
    return h('section', { class: 'drawer', 'aria-label': 'Downloads', onkeydown: (event) => cycleTab(event, this) },
      h('div', { class: 'card-head' }, h('h2', {}, 'Downloads'), iconButton('close', 'Close the downloads', () => this.toggle())),
      h('p', { class: 'muted small' }, 'Downloads run in the service. Closing this tab does not stop them.'),
      !downloads.length && !ended.length && empty('No downloads', h('p', {}, h('a', { href: href('models', null, { tab: 'catalogue' }) }, 'Choose a model from the catalogue'))),
      h('ul', { class: 'plain-list' }, downloads.map((one) => this.#running(one)), ended.map((one) => this.#ended(one))),
      ended.length > 0 && button('Clear the list', () => {
        for (const one of ended) this.cleared.add(`${one.model_name} ${one.ended_at}`);
        this.draw();
      }, { kind: 'quiet' }));
  }
}

customElements.define('fl-downloads', Downloads);
