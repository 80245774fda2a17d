// The recent requests of the gateway, bounded, and the figures that are worked out from them.

import { store } from './store.js';

const MAX_KEPT = 1000;

/** Add or replace requests; `isAll` replaces everything. */
export function noteRequests(entries, isAll = false) {
  const kept = isAll ? new Map() : new Map(store.state.requests ?? []);
  for (const entry of isAll ? [...entries].sort((a, b) => (a.at < b.at ? -1 : 1)) : entries) kept.set(entry.id, entry);
  for (const id of kept.keys()) {
    if (kept.size <= MAX_KEPT) break;
    kept.delete(id);
  }
  store.set({ requests: kept });
}

/** Newest first. */
export const newestFirst = () => [...(store.state.requests?.values() ?? [])].sort((a, b) => (a.at < b.at ? 1 : -1));

export const isRunning = (request) => request.status === 'running' || request.status === 'queued';
export const isFailed = (request) => !isRunning(request) && (request.error != null || Number(request.status) >= 400 || request.status === 'failed');

/** The value below which a share of the numbers lies. */
export function quantile(numbers, share) {
  const sorted = numbers.filter((one) => one != null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;
}

/** Mean generation speed of a model's answers of the last minute, in tokens per second; null if there was none. */
export function recentSpeed(modelName) {
  const since = new Date(Date.now() - 60_000).toISOString();
  const rates = newestFirst().filter((one) => one.model === modelName && one.at >= since && one.tokens_per_second);
  return rates.length ? rates.reduce((sum, one) => sum + one.tokens_per_second, 0) / rates.length : null;
}
