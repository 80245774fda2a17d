// <fl-log-view>: the lines of the log as a scrolling list. Lines are added a few times a second, never redrawn, and the
// oldest are dropped. They are in blocks, so that the browser lays out only the blocks that are seen.
// `filter` is a function of a line; setting it redraws. `add(lines, isAnew)` appends, or begins again.

import { clock } from '../core/format.js';
import { MAX_LINES } from '../core/log-stream.js';
import { plural } from '../core/format.js';

const NEAR_END_PX = 40;
const BLOCK_LINES = 100;
const FLUSH_MS = 120;

function row(line) {
  const node = document.createElement('div');
  node.className = `log-line ${line.level.toLowerCase()}`;
  for (const words of [clock(line.timestamp), line.level, line.source.replace('FoundryLocal', ''), line.message]) {
    const cell = document.createElement('span');
    cell.textContent = words;
    node.append(cell);
  }
  node.title = line.timestamp;
  return node;
}

class LogView extends HTMLElement {
  connectedCallback() {
    this.lines = [];
    this.pending = [];
    this.missed = 0;
    this.box = document.createElement('div');
    this.box.className = 'log-box';
    this.box.tabIndex = 0;
    this.box.setAttribute('role', 'log');
    this.box.setAttribute('aria-live', 'off');
    this.box.setAttribute('aria-label', 'Log lines, newest last');
    this.more = document.createElement('button');
    this.more.type = 'button';
    this.more.className = 'button primary log-more';
    this.more.hidden = true;
    this.more.onclick = () => this.#follow();
    this.box.onscroll = () => { if (this.#isAtEnd() && this.missed) this.#follow(); };
    this.append(this.box, this.more);
  }

  #isAtEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX;
  }

  #follow() {
    this.missed = 0;
    this.more.hidden = true;
    this.box.scrollTop = this.box.scrollHeight;
  }

  /** Which lines are shown. */
  set filter(value) {
    this.isShown = value;
    if (!this.box) return;
    this.box.replaceChildren();
    this.#append(this.lines.filter(value));
    this.#follow();
  }

  get shown() {
    return this.lines.filter(this.isShown);
  }

  add(lines, isAnew = false) {
    if (isAnew) {
      this.box.replaceChildren();
      [this.lines, this.pending] = [[], []];
    }
    this.pending = [...this.pending, ...lines].slice(-MAX_LINES);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      if (this.isConnected) this.#flush();
    }, FLUSH_MS);
  }

  #append(lines) {
    let block = this.box.lastElementChild;
    for (const line of lines) {
      if (!block || block.childElementCount >= BLOCK_LINES) {
        block = document.createElement('div');
        block.className = 'log-block';
        this.box.append(block);
      }
      block.append(row(line));
    }
    while (this.box.childElementCount > MAX_LINES / BLOCK_LINES) this.box.firstElementChild.remove();
  }

  #flush() {
    const lines = this.pending;
    this.pending = [];
    this.lines = [...this.lines, ...lines].slice(-MAX_LINES);
    const wanted = lines.filter(this.isShown);
    if (!wanted.length) return;
    const isFollowing = this.#isAtEnd();
    this.#append(wanted);
    if (isFollowing) {
      this.box.scrollTop = this.box.scrollHeight;
    } else {
      this.missed += wanted.length;
      this.more.textContent = `${plural(this.missed, 'new line')} ↓`;
      this.more.hidden = false;
    }
  }
}

customElements.define('fl-log-view', LogView);
