// One row of the list of models: a model, or the quantizations of one as a group that opens.

import { cancelDownload, deleteModel, dismissError, download, load, pauseDownload, switchTo, tune, unload, verify } from '../core/actions.js';
import { h } from '../core/dom.js';
import { bytes, duration, tokens } from '../core/format.js';
import { FIT_TONES, FIT_WORDS, displayName, downloadOf, fit, isLoaded, neededMemory, purpose, queueOf, stateOf } from '../core/models.js';
import { wantPlan } from '../core/plans.js';
import { href } from '../core/router.js';
import { isLive, store } from '../core/store.js';
import { button, copyText, progress, stateMark, tag } from './controls.js';
import './menu.js';

/** The one main action of a model in its present state. */
export function mainAction(model, kind = 'plain small') {
  const name = model.simple_name;
  const job = store.state.jobs[name];
  const running = downloadOf(name);
  if (running) {
    const { progress: measure } = running;
    const isPaused = running.state === 'paused';
    const words = isPaused ? 'Paused' : measure?.stage === 'downloading'
      ? `${Math.floor(measure.percent ?? 0)} %${measure.bytes_per_second ? ` · ${bytes(measure.bytes_per_second)}/s` : ''}${measure.eta_seconds ? ` · ${duration(measure.eta_seconds)}` : ''}` : stateOf(model)[0];
    return [h('div', { class: 'row-progress' }, progress(measure?.percent ?? (isPaused ? 0 : null), `Download of ${name}`), words),
      isPaused ? button('Resume', () => download(name), { kind, name: `Resume the download of ${name}`, disabled: !isLive() })
        : button('Pause', () => pauseDownload(name), { kind, name: `Pause the download of ${name}`, disabled: !isLive() }),
      button('Cancel', () => cancelDownload(name), { kind, name: `Cancel the download of ${name}`, disabled: !isLive() })];
  }
  if (job && !job.error) return h('div', { class: 'row-progress' }, progress(job.percent, `${job.what} ${name}`), job.message);
  if (isLoaded(model)) return button('Unload', () => unload(name, queueOf(model)?.running), { kind: kind.replace('primary', 'plain'), name: `Unload ${name}`, disabled: !isLive() });
  if (model.is_downloaded && model.kind === 'adapter') return null; // it is loaded together with a model
  const disabled = !isLive() || Boolean(whyBlocked(model));
  return model.is_downloaded ? button('Load', () => load(name), { kind, name: `Load ${name}`, disabled }) : button('Download', () => download(name), { kind, name: `Download ${name}`, disabled });
}

/** Why a model cannot be loaded or downloaded now, with numbers; null if it can. */
export function whyBlocked(model) {
  const { machine } = store.state;
  if (!machine || isLoaded(model) || downloadOf(model.simple_name)) return null;
  if (!model.is_downloaded) return model.file_size_bytes > machine.disk.free_bytes ? `Needs ${bytes(model.file_size_bytes)} of disk, ${bytes(machine.disk.free_bytes)} free` : null;
  return fit(model) === 'no' ? whyNot(model) : null;
}

/** What a load would need beside what there is. */
export const whyNot = (model) => `Needs ${neededMemory(model).isExact ? '' : 'at least '}${bytes(neededMemory(model).bytes)} of memory, ${bytes(store.state.machine?.memory.free_bytes)} free for a model`;

/** What else can be done, behind ⋯. */
export function moreActions(model) {
  const name = model.simple_name;
  const entries = [['Details', () => { location.hash = href('models', name); }], ['Copy name', () => copyText(name, 'Name copied')]];
  const { server } = store.state;
  if (model.is_downloaded && server?.status === 'running' && server.current_model !== name) entries.push(['Make it the current model', () => switchTo(name)]);
  if (model.is_downloaded) entries.push(['Alias…', () => { location.hash = href('settings', null, { find: 'aliases' }); }]);
  if (model.is_downloaded && !isLoaded(model)) entries.push(['Tune for this machine…', () => tune(name)], ['Verify files', () => verify(name)], [`Delete (${bytes(model.file_size_bytes)})`, () => deleteModel(name, model.file_size_bytes), 'danger']);
  return h('fl-menu', { key: 'more', '.name': `More for ${name}`, '.entries': entries });
}

function memoryCell(model) {
  const how = fit(model);
  const needed = neededMemory(model);
  if (model.is_downloaded && model.kind !== 'adapter' && !isLoaded(model)) wantPlan(model);
  return h('td', { class: 'number' }, needed.bytes == null ? tag('unknown')
    : [h('span', { title: needed.context ? `With a context of ${tokens(needed.context)} tokens` : needed.isExact ? null : 'At least: with the smallest context' }, `${needed.isExact ? '' : '≥ '}${bytes(needed.bytes)} `), tag(FIT_WORDS[how], FIT_TONES[how])]);
}

/** @param {object} model @param {{isOpen?: boolean, isIndented?: boolean, query: object, group?: {count: number, isOpen: boolean, toggle: () => void}}} how */
export function modelRow(model, how) {
  const error = store.state.jobs[model.simple_name]?.error;
  const blocked = whyBlocked(model);
  return h('tr', { key: model.model_id, 'data-row': true, class: `${how.isOpen ? 'is-open' : ''} ${how.isIndented ? 'indent' : ''}` },
    h('th', { scope: 'row', class: 'lead' }, h('div', { class: 'model-name' },
      h('div', { class: 'row' },
        h('a', { href: href('models', model.simple_name, how.query), title: model.model_id }, displayName(model)), tag(model.quantization),
        how.group && h('button', { type: 'button', class: 'group-toggle', 'aria-expanded': String(how.group.isOpen), onclick: how.group.toggle },
          how.group.isOpen ? 'Fewer' : `${how.group.count - 1} more`)),
      error ? h('span', { class: 'small field-error', role: 'alert' }, `${error.message}${error.details ? `. ${error.details}` : ''} `,
        h('button', { type: 'button', class: 'as-link', onclick: () => dismissError(model.simple_name) }, 'Dismiss'))
        : h('span', { class: 'muted small' }, [purpose(model), model.size === 'unknown' ? 'size unknown' : model.size].join(' · '), blocked && h('span', { class: 'field-error' }, ` · ${blocked}`)))),
    h('td', { class: 'number minor' }, model.file_size_bytes ? bytes(model.file_size_bytes) : 'unknown'),
    memoryCell(model),
    h('td', { class: 'number optional minor' }, tokens(model.context_length)),
    h('td', { class: 'optional minor' }, model.license ?? 'unknown'),
    h('td', { class: 'state-cell' }, stateMark(...stateOf(model))),
    h('td', { class: 'row-cell' }, h('div', { class: 'row-actions' }, mainAction(model), moreActions(model))));
}
