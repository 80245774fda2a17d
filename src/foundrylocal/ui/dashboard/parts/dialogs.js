// Questions before something that cannot be undone; resolves to whether the answer was yes.

import { h, patch } from '../core/dom.js';
import { button } from './controls.js';

/** @returns {Promise<boolean>} */
export function ask({ title, body, yes, kind = 'danger' }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const dialog = document.createElement('dialog');
    dialog.className = 'dialog';
    dialog.setAttribute('aria-label', title);
    patch(dialog, h('h2', {}, title), h('div', { class: 'dialog-body' }, body), h('div', { class: 'row end' },
      button('Cancel', () => dialog.close('no'), { autofocus: true }),
      button(yes, () => dialog.close('yes'), { kind })));
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A dialog with content of its own; `content(close)` describes it. Returns a function that redraws it. */
export function show(title, content) {
  const before = document.activeElement;
  const dialog = document.createElement('dialog');
  dialog.className = 'dialog';
  dialog.setAttribute('aria-label', title);
  const close = () => dialog.close();
  const draw = () => patch(dialog, h('h2', {}, title), content(close, draw));
  dialog.addEventListener('close', () => {
    dialog.remove();
    before?.focus?.();
  });
  draw();
  document.body.append(dialog);
  dialog.showModal();
  return draw;
}

/** Say how something ended that was asked for in a menu; the words are read aloud with the dialog. */
export function tell(title, words) {
  show(title, (close) => [h('p', {}, words), h('div', { class: 'row end' }, button('Close', close, { autofocus: true }))]);
}
