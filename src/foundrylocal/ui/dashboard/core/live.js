// Keeps the one connection to /events open and the state up to date; reconnects by itself.

import { ApiError, get, open } from './api.js';
import { readCluster } from './cluster.js';
import { noteRequests, readRequests } from './requests.js';
import { events } from './sse.js';
import { store } from './store.js';
import { seen, whileSeen } from './visibility.js';

const DELAYS_S = [1, 2, 5];
const SILENCE_MS = 40_000; // the service sends a line at least every 15 s
let wake = () => {};
let modelsWanted = false;
let modelsRead = Promise.resolve();

/** Try to connect now instead of at the end of the wait. */
export const tryNow = () => wake();

/** Run for the life of the page. */
export async function stayConnected() {
  let failures = 0;
  for (;;) {
    await seen();
    const stop = whileSeen();
    try {
      await follow(stop, () => { failures = 0; });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        stop.abort();
        await pause(null);
        continue;
      }
    }
    if (stop.signal.aborted && document.hidden) continue;
    stop.abort();
    const delay = DELAYS_S[Math.min(failures, DELAYS_S.length - 1)];
    failures += 1;
    const { link } = store.state;
    store.set({ link: { status: 'lost', since: link.since ?? Date.now(), retryAt: Date.now() + delay * 1000 } });
    await pause(delay);
  }
}

/** Wait, or until `tryNow`; null waits for that alone. */
function pause(seconds) {
  return new Promise((resolve) => {
    wake = resolve;
    if (seconds != null) setTimeout(resolve, seconds * 1000);
  });
}

async function follow(stop, onLive) {
  let timer = setTimeout(() => stop.abort(), SILENCE_MS);
  readModels(0); // beside the events, not after the first of them
  const answer = await open('GET', '/events', undefined, stop.signal);
  onLive();
  store.set({ link: { status: 'live' } });
  if (!store.state.info) get('/info').then((info) => store.set({ info })).catch(() => {});
  readRequests();
  readCluster();
  try {
    for await (const event of events(watched(answer, () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE_MS);
    }))) note(event);
  } finally {
    clearTimeout(timer);
  }
}

/** The same response; `onBytes` is called whenever something arrives. */
function watched(answer, onBytes) {
  const body = answer.body.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      onBytes();
      controller.enqueue(chunk);
    },
  }));
  return new Response(body);
}

function note({ type, data }) {
  switch (type) {
    case 'state': store.set({ server: data }); break;
    case 'downloads': store.set({ downloads: data }); break;
    case 'ended_downloads': store.set({ ended: data }); break;
    case 'machine': store.set({ machine: data }); break;
    case 'activity': store.set({ activity: data }); break;
    case 'requests': noteRequests(data); break;
    case 'loaded': store.set({ loaded: data }); readModelsUnless('is_loaded', data); break;
    case 'downloaded': store.set({ downloaded: data }); readModelsUnless('is_downloaded', data); break;
    default: // a newer service sends more than this page shows
  }
}

/** Read the list of models; calls that come together are one. */
export function readModels(delayMs = 50) {
  if (modelsWanted) return;
  modelsWanted = true;
  modelsRead = (async () => {
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    modelsWanted = false;
    try {
      store.set({ models: (await get('/models')).models });
    } catch { /* the connection's own state says what is wrong */ }
  })();
}

/** The same, unless the list, or the one that is on its way, says already which models those are. */
async function readModelsUnless(field, ids) {
  await modelsRead;
  const known = store.state.models?.filter((one) => one[field]).map((one) => one.model_id);
  if (known?.length !== ids.length || !ids.every((id) => known.includes(id))) readModels();
}
