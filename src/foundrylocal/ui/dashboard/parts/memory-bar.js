// Bars of what takes memory and disk, each with its figures beside it as a list.

import { h } from '../core/dom.js';
import { bytes } from '../core/format.js';

const TONES = ['tone-model', 'tone-model-2', 'tone-model-3'];

/** @param {string} name @param {{label: string, size: number, tone: string}[]} parts @param {string} [note] */
function bar(name, parts, note) {
  const shown = parts.filter((part) => part.size > 0);
  const total = shown.reduce((sum, part) => sum + part.size, 0) || 1;
  const words = shown.map((part) => `${part.label} ${bytes(part.size)}`).join(', ');
  return h('div', { class: 'bar-block', key: name },
    h('div', { class: 'split' }, h('h3', {}, name), h('span', { class: 'muted small' }, note)),
    h('div', { class: 'stacked', role: 'img', 'aria-label': `${name}: ${words}` }, shown.map((part) =>
      h('span', { key: part.label, class: part.tone, title: `${part.label}: ${bytes(part.size)}`, vars: { '--share': `${(100 * part.size) / total}%` } }))),
    h('dl', { class: 'legend' }, shown.map((part) => h('div', { key: part.label },
      h('dt', {}, h('span', { class: `swatch ${part.tone}` }), part.label), h('dd', {}, bytes(part.size))))));
}

/** A model with several replicas has one part for each; labels tell them apart. */
const modelParts = (models) => models.map((one, index) => ({
  label: models.findIndex((other) => other.model === one.model) < index ? `${one.model} (replica ${models.slice(0, index + 1).filter((other) => other.model === one.model).length})` : one.model, size: one.memory_bytes || one.estimated_bytes, tone: TONES[index % TONES.length] }));

export function memoryBar({ memory, models }) {
  const used = modelParts(models);
  const inModels = used.reduce((sum, part) => sum + part.size, 0);
  const other = Math.max(0, memory.total_bytes - memory.available_bytes - inModels);
  const reserve = Math.min(memory.reserve_bytes, memory.available_bytes);
  const left = Math.max(0, memory.total_bytes - inModels - other - reserve);
  const budget = memory.budget_bytes == null ? '' : `, budget for models ${bytes(memory.budget_bytes)}`;
  return bar('Memory', [...used, { label: 'Other programs', size: other, tone: 'tone-other' }, { label: 'Kept free', size: reserve, tone: 'tone-reserve' },
    { label: 'Free', size: left, tone: 'tone-free' }], `${bytes(memory.total_bytes)} total, ${bytes(memory.free_bytes)} free for a model${budget}`);
}

export const gpuBars = (gpus) => (gpus ?? []).map((gpu) => bar(gpu.name, [
  { label: 'In use', size: gpu.total_bytes - gpu.free_bytes, tone: 'tone-model' }, { label: 'Free', size: gpu.free_bytes, tone: 'tone-free' }], `${bytes(gpu.total_bytes)} total`));

export function diskBar({ disk }) {
  const other = Math.max(0, disk.total_bytes - disk.free_bytes - disk.models_bytes - disk.partial_bytes);
  return bar('Disk', [{ label: 'Models', size: disk.models_bytes, tone: 'tone-model' }, { label: 'Unfinished downloads', size: disk.partial_bytes, tone: 'tone-model-2' },
    { label: 'Other files', size: other, tone: 'tone-other' }, { label: 'Free', size: disk.free_bytes, tone: 'tone-free' }], `${bytes(disk.total_bytes)} total`);
}
