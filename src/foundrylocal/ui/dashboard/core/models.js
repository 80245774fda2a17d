// What lists show of models, computed: purpose, fit, state, groups by family and size.

import { latest } from './memo.js';
import { planOf, planVersion } from './plans.js';
import { store } from './store.js';

const PURPOSES = [['embedding', 'Embedding'], ['rerank', 'Rerank'], ['vision', 'Chat with images'], ['code', 'Code'], ['reasoning', 'Reasoning'], ['chat', 'Chat']];

/** What it is for, in a word or two. */
export function purpose(model) {
  if (model.kind === 'adapter') return 'LoRA adapter';
  const found = PURPOSES.find(([capability]) => model.capabilities?.includes(capability));
  return found ? found[1] : model.capabilities ? 'Completes text, no chat' : 'unknown';
}

export const can = (model, capability) => Boolean(model?.capabilities?.includes(capability));
const byName = latest((models) => new Map((models ?? []).flatMap((one) => [[one.model_id, one], [one.simple_name, one]])));
export const findModel = (name) => byName(store.state.models).get(name) ?? null;
export const isLoaded = (model) => store.state.loaded.includes(model.model_id);
export const downloadOf = (name) => store.state.downloads.find((one) => one.model_name === name) ?? null;
export const machineModel = (name) => store.state.machine?.models.find((one) => one.model === name) ?? null;
export const queueOf = (model) => store.state.activity?.queues.find((one) => one.model_id === model.model_id) ?? null;

/** {bytes, isExact, context} of memory that a load needs: by the plan for what is here; for what is not, by the catalogue with the
 * context that it would get, or the least; by its size alone where the catalogue does not know more. */
export function neededMemory(model) {
  const running = machineModel(model.simple_name);
  if (running) return { bytes: running.memory_bytes || running.estimated_bytes, isExact: true };
  const plan = model.is_downloaded ? planOf(model) : null;
  if (plan) return { bytes: plan.memory.needed_bytes, isExact: true };
  const { default_memory: usual, needed_memory_bytes: least } = model;
  const free = store.state.machine?.memory.free_bytes ?? 0;
  return usual && usual.needed_bytes <= free ? { bytes: usual.needed_bytes, isExact: true, context: usual.context_size } : { bytes: least, isExact: false };
}

/** Whether a load fits now (`fits`), only after others are unloaded (`tight`), not at all (`no`), or is `unknown`. */
export function fit(model) {
  const { machine } = store.state;
  if (isLoaded(model)) return 'fits';
  const plan = model.is_downloaded ? planOf(model) : null;
  if (plan) return plan.refusal ? 'no' : plan.unloads.length ? 'tight' : 'fits';
  const needed = model.needed_memory_bytes;
  if (needed == null || !machine) return 'unknown';
  const { free_bytes: free, evictable_bytes: evictable } = machine.memory;
  if (needed <= free) return 'fits';
  return needed <= free + evictable ? 'tight' : 'no';
}

export const FIT_WORDS = { fits: 'fits', tight: 'after unloading others', no: 'too large', unknown: 'unknown' };
export const FIT_TONES = { fits: 'good', tight: 'warn', no: 'bad', unknown: '' };
const FIT_ORDER = { fits: 0, tight: 1, unknown: 2, no: 3 };

/** The state of a model in words and a tone. */
export function stateOf(model) {
  const job = store.state.jobs[model.simple_name];
  const download = downloadOf(model.simple_name);
  if (job?.error) return ['Failed', 'bad'];
  if (job) return [job.what, 'busy'];
  if (download) return [download.state === 'paused' ? 'Paused' : download.state === 'queued' ? 'Queued' : download.state === 'verifying' ? 'Verifying' : 'Downloading', download.state === 'paused' ? 'idle' : 'busy'];
  if (isLoaded(model)) return ['Loaded', 'good'];
  return model.is_downloaded ? ['On this machine', 'idle'] : ['Not downloaded', 'none'];
}

/** The name without quantization and format. */
export function displayName(model) {
  const suffix = `-${model.quantization}-GGUF`;
  return model.simple_name.endsWith(suffix) ? model.simple_name.slice(0, -suffix.length) : model.simple_name.replace(/-GGUF$/i, '');
}

/** A model's name as lists show it; as it is when the model is not known. */
export const shortName = (name) => (findModel(name) ? displayName(findModel(name)) : name?.replace(/-GGUF$/, '') ?? '–');

/** Parameters in billions, for sorting; null if unknown. */
export function parameters(model) {
  const found = /^([\d.]+)(B|M)/i.exec(model.size ?? '');
  return found ? Number(found[1]) / (found[2].toUpperCase() === 'M' ? 1000 : 1) : null;
}

const { compare: compareTexts } = new Intl.Collator('en', { numeric: true });

/** What a column is sorted by. Null and 0 bytes are unknown: last in both directions. */
const KEYS = {
  name: displayName,
  purpose,
  size: parameters,
  file: (model) => model.file_size_bytes || null,
  memory: (model) => neededMemory(model).bytes,
  context: (model) => model.context_length,
  license: (model) => model.license,
  state: (model) => stateOf(model)[0],
};
const USUAL = [(model) => FIT_ORDER[fit(model)], (model) => model.family, parameters];

function compareKeys(a, b, sign) {
  for (const [index, one] of a.entries()) {
    const other = b[index];
    if (one === other) continue;
    if (one == null || other == null) return one == null ? 1 : -1;
    const found = typeof one === 'number' ? one - other : compareTexts(one, other);
    if (found) return sign * found;
  }
  return 0;
}

/** Sorted by a column, or fits first, then family and size. Each key is computed once, not at each comparison. */
export function sortModels(models, column, descending) {
  const keys = column in KEYS ? [KEYS[column]] : USUAL;
  const sign = column in KEYS && descending ? -1 : 1;
  return models.map((model) => ({ model, keys: keys.map((key) => key(model) ?? null) })).sort((a, b) => compareKeys(a.keys, b.keys, sign)).map((one) => one.model);
}

/** Quantizations of one model as one group, in the order of its first member. */
export function groupModels(models) {
  const groups = new Map();
  for (const model of models) {
    const key = `${model.model_id.split('/')[0]}/${displayName(model)}`;
    if (!groups.has(key)) groups.set(key, { key, models: [] });
    groups.get(key).models.push(model);
  }
  return [...groups.values()];
}

const searched = new WeakMap();

/** What a filter looks in, in lower case. */
function searchText(model) {
  if (!searched.has(model)) searched.set(model, `${model.model_id} ${model.family ?? ''} ${model.license ?? ''}`.toLowerCase());
  return searched.get(model);
}

// A publisher that claims so many languages and names none of them is taken to mean every common one, as the CLI does.
const MANY_LANGUAGES = 100;
const speaks = ({ languages, language_count: claimed }, code) => languages?.includes(code) || (!languages?.length && claimed >= MANY_LANGUAGES);

/** Whether a model is one of those that the address asks for; `onlyFits` leaves out what is too large. */
export function isWanted(model, { find = '', for: uses = '', licence, language }, onlyFits) {
  return find.toLowerCase().split(/\s+/).every((word) => searchText(model).includes(word))
    && uses.split(',').filter(Boolean).every((capability) => can(model, capability))
    && (!licence || (model.license ?? 'unknown') === licence) && (!language || speaks(model, language)) && (!onlyFits || fit(model) !== 'no');
}

/** What the order and the filter depend on besides the models: what is free, loaded, planned and being done. */
export function fitBasis() {
  const { machine, loaded, jobs } = store.state;
  return [machine, loaded, jobs, planVersion()];
}
