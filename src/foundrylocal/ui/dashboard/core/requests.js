// The recent requests of the gateway, bounded, and figures computed from them.

import { getIfThere } from './api.js';
import { latest } from './memo.js';
import { store } from './store.js';

const MAX_KEPT = 1000;
let endedCount = null;
let isReading = false;

/** Read the whole record; a service without one leaves it null. */
export async function readRequests() {
  if (isReading) return;
  isReading = true;
  try {
    const found = await getIfThere(`/requests?limit=${MAX_KEPT}`);
    if (found) keep(new Map(), [...found.requests].reverse());
  } catch { /* the connection's own state says what is wrong */ }
  isReading = false;
}

function keep(known, entries) {
  for (const entry of entries) known.set(entry.id, entry);
  for (const id of known.keys()) {
    if (known.size <= MAX_KEPT) break;
    known.delete(id);
  }
  store.set({ requests: known });
}

/** Take an event: running requests and the latest that ended. If more ended than it holds, the record is read again. */
export function noteRequests({ running, recent, ended_count: ended }) {
  const missed = endedCount !== null && ended - endedCount > recent.length;
  endedCount = ended;
  const seen = new Set([...running, ...recent].map((one) => one.id));
  const known = new Map(store.state.requests ?? []);
  const isLost = [...known.values()].some((one) => isRunning(one) && !seen.has(one.id));
  keep(known, [...recent].reverse().concat(running));
  if (missed || isLost) readRequests();
}

const sorted = latest((requests) => [...(requests?.values() ?? [])].sort((a, b) => (a.at < b.at ? 1 : -1)));

/** Newest first. */
export const newestFirst = () => sorted(store.state.requests);

export const isRunning = (request) => request.status === 'running' || request.status === 'waiting';
export const isFailed = (request) => request.status === 'failed';

/** The value below which a share of the numbers lies. */
export function quantile(numbers, share) {
  const known = numbers.filter((one) => one != null).sort((a, b) => a - b);
  return known.length ? known[Math.min(known.length - 1, Math.floor(share * known.length))] : null;
}

/** Mean generation speed of a model's answers of the last minute, in tokens per second; null if there was none. */
export function recentSpeed(modelName) {
  const since = new Date(Date.now() - 60_000).toISOString();
  const rates = newestFirst().filter((one) => one.model === modelName && one.at >= since && one.tokens_per_second);
  return rates.length ? rates.reduce((sum, one) => sum + one.tokens_per_second, 0) / rates.length : null;
}
