// <fl-log-view>: the lines of the log as a scrolling list. Lines are added a few times a second, never redrawn, and the
// oldest are dropped. They are in blocks, so that the browser lays out only the blocks that are seen.
// `filter` is a function of a line; setting it draws the newest lines at once and the older ones when the page is idle, so
// that no key waits for thousands of lines. `add(lines, isAnew)` appends, or begins again.

import { clock } from '../core/format.js';
import { MAX_LINES } from '../core/log-stream.js';
import { plural } from '../core/format.js';

const NEAR_END_PX = 40;
const BLOCK_LINES = 100;
const FLUSH_MS = 120;
const MAX_BLOCKS = MAX_LINES / BLOCK_LINES;
const FIRST_LINES = 2 * BLOCK_LINES; // more than a window shows
const FILL_MS = 20;

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

function block() {
  const node = document.createElement('div');
  node.className = 'log-block';
  return node;
}

class LogView extends HTMLElement {
  connectedCallback() {
    this.lines = [];
    this.pending = [];
    this.older = []; // lines that the filter keeps and that are not drawn yet
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
    this.older = this.lines.filter(value);
    this.box.replaceChildren();
    this.#append(this.older.splice(-FIRST_LINES));
    this.#follow();
    this.#fill();
  }

  /** Older lines go above the newer ones, a block at a time, so that keys and frames come between. */
  #fill() {
    this.filling ??= setTimeout(() => {
      this.filling = null;
      const lines = this.older.splice(-BLOCK_LINES);
      if (!lines.length || !this.isConnected || this.box.childElementCount >= MAX_BLOCKS) return;
      const isFollowing = this.#isAtEnd();
      const node = block();
      node.append(...lines.map(row));
      this.box.prepend(node);
      if (isFollowing) this.box.scrollTop = this.box.scrollHeight;
      this.#fill();
    }, FILL_MS);
  }

  get shown() {
    return this.lines.filter(this.isShown);
  }

  add(lines, isAnew = false) {
    if (isAnew) {
      this.box.replaceChildren();
      [this.lines, this.pending, this.older] = [[], [], []];
    }
    this.pending = [...this.pending, ...lines].slice(-MAX_LINES);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      if (this.isConnected) this.#flush();
    }, FLUSH_MS);
  }

  #append(lines) {
    let last = this.box.lastElementChild;
    for (const line of lines) {
      if (!last || last.childElementCount >= BLOCK_LINES) {
        last = block();
        this.box.append(last);
      }
      last.append(row(line));
    }
    while (this.box.childElementCount > MAX_BLOCKS) this.box.firstElementChild.remove();
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
