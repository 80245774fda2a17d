// What can be done to a model. Progress and errors are kept by model in `jobs`, so that they show wherever it does.

import { ask, tell } from '../parts/dialogs.js';
import { h } from './dom.js';
import { announce } from './announce.js';
import { call, modelPath, open, post, remove } from './api.js';
import { bytes } from './format.js';
import { readModels } from './live.js';
import { events } from './sse.js';
import { store } from './store.js';

function setJob(name, job) {
  const jobs = { ...store.state.jobs };
  if (job) jobs[name] = job;
  else delete jobs[name];
  store.set({ jobs });
}

export const dismissError = (name) => setJob(name, null);

async function run(name, what, work) {
  if (store.state.jobs[name] && !store.state.jobs[name].error) return false;
  setJob(name, { what, message: `${what}…` });
  try {
    await work();
    setJob(name, null);
    return true;
  } catch (error) {
    setJob(name, error.code === 'operation_cancelled' ? null : { what, error }); // the user paused, cancelled or stopped it
    return false;
  }
}

/** Follow an operation's stream to its end; what it says then. Throws its error. */
async function follow(name, what, path, body) {
  for await (const event of events(await open('POST', path, body))) {
    if (event.type === 'error') throw Object.assign(new Error(event.message), { ...event.error, details: [event.error.details, event.error.reason].filter(Boolean).join(' ') });
    if (event.type === 'success') return event.data?.message ?? event.message;
    setJob(name, { what, message: event.message, percent: event.progress?.percent, measure: event.progress });
  }
  return '';
}

/** Load a model, and download it first if it is not here; starts the server when it is stopped. */
export async function load(name, options) {
  const { status } = store.state.server ?? {};
  const isStopped = status === 'stopped' || status === 'error';
  const isHere = store.state.models?.find((one) => one.simple_name === name)?.is_downloaded;
  const done = await run(name, 'Loading', async () => {
    if (isStopped) return follow(name, 'Loading', '/start-stream', { model_name: name, ...(options && { options }) });
    if (!isHere) await follow(name, 'Downloading', modelPath(name, '/download-stream'));
    return post(modelPath(name, '/load'), options);
  });
  if (done) announce(`Model loaded: ${name}`);
  readModels();
  return done;
}

export async function switchTo(name) {
  const done = await run(name, 'Switching to', () => post('/switch-model', { model_name: name }));
  if (done) announce(`Switched to ${name}`);
  return done;
}

/** Whether to go on although answers are being written; asks only then. */
async function mayInterrupt(title, yes, running) {
  return !running || ask({ title, yes, body: h('p', {}, `${running} answer${running === 1 ? ' is' : 's are'} still being written. ${running === 1 ? 'It has' : 'They have'} a limited time to finish (setting drain_seconds), then ${running === 1 ? 'it is' : 'they are'} cut off.`) });
}

/** Unload; asks first while answers run. */
export async function unload(name, running = 0) {
  if (!await mayInterrupt(`Unload ${name}?`, 'Unload', running)) return false;
  const done = await run(name, 'Unloading', () => post(modelPath(name, '/unload')));
  if (done) announce(`Model unloaded: ${name}`);
  return done;
}

/** Unload every model; asks first while answers run. Returns what the service says. Throws ApiError. */
export async function unloadAll() {
  const running = store.state.activity?.queues.reduce((sum, one) => sum + one.running, 0) ?? 0;
  return await mayInterrupt('Unload all models?', 'Unload all', running) ? (await post('/models/unload-all')).message : null;
}

/** Load again with what is saved. */
export async function reload(name, running) {
  return await unload(name, running) && load(name);
}

/** Begin or continue a download; it belongs to the service and goes on without this page. */
export async function download(name) {
  const paused = store.state.downloads.some((one) => one.model_name === name && one.state === 'paused');
  const stop = new AbortController();
  if (!paused) setJob(name, { what: 'Downloading', message: 'Downloading…' });
  try {
    if (paused) await post(`/downloads/${encodeURIComponent(name)}/resume`);
    else await open('POST', modelPath(name, '/download-stream'), undefined, stop.signal);
    announce(`Downloading ${name}`);
    setJob(name, null);
  } catch (error) {
    setJob(name, { what: 'Download', error });
  }
  stop.abort();
}

async function onDownload(name, work) {
  try {
    await work();
    setJob(name, null);
  } catch (error) {
    setJob(name, { what: 'Download', error });
  }
}

export const pauseDownload = (name) => onDownload(name, () => post(`/downloads/${encodeURIComponent(name)}/pause`));
export const cancelDownload = (name) => onDownload(name, () => remove(`/downloads/${encodeURIComponent(name)}`));

/** Delete a model's files; asks first and names the bytes. */
export async function deleteModel(name, size) {
  const yes = await ask({ title: `Delete ${name}?`, yes: `Delete ${bytes(size)}`,
    body: h('p', {}, `Its files (${bytes(size)}) are removed from this machine. It can be downloaded again.`) });
  if (!yes) return false;
  const done = await run(name, 'Deleting', () => call('DELETE', modelPath(name)));
  if (done) announce(`Deleted ${name}`);
  readModels();
  return done;
}

/** Measure which load options suit this machine, and save the best as the model's own settings; asks first. */
export async function tune(name) {
  const yes = await ask({ title: `Tune ${name}?`, yes: 'Tune', kind: 'primary',
    body: h('p', {}, 'Measures threads, batch sizes and KV cache types on this machine, for two minutes at most, and saves the fastest combination for this model.') });
  if (!yes) return false;
  return run(name, 'Tuning', async () => tell(`${name} was tuned`, await follow(name, 'Tuning', modelPath(name, '/tune-stream'), {})));
}

export function verify(name) {
  return run(name, 'Verifying', async () => {
    const verdict = await post(modelPath(name, '/verify'));
    const bad = verdict.files.filter((file) => file.problem);
    if (!verdict.is_sound) throw Object.assign(new Error(verdict.message), { details: bad.map((file) => `${file.name}: ${file.problem}`).join(' ') });
    tell(`${name} is intact`, verdict.message);
  });
}
