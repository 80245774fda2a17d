// Where the gateway is, and calls to it with its key. Both come from /status, which only those who may manage can read.

import { ApiError, get } from './api.js';

const LOCAL = ['localhost', '127.0.0.1', '[::1]'];

/** {base: address without /v1, key}; null while the server is stopped. */
export async function gateway() {
  const { health } = await get('/status');
  if (!health.endpoint) return null;
  return { base: reachable(health.endpoint).replace(/\/v1$/, ''), key: health.api_key };
}

/** The address by which this page can reach an endpoint: its own host name, unless that is this machine anyway. */
export function reachable(endpoint) {
  const url = new URL(endpoint);
  if (!LOCAL.includes(location.hostname)) url.hostname = location.hostname;
  return url.href.replace(/\/$/, '');
}

/** POST to the gateway; the response itself. Throws ApiError. */
export async function ask(path, body, signal) {
  const where = await gateway();
  if (!where) throw new ApiError(0, { message: 'The server is stopped', details: 'Load a model to start it.' });
  let answer;
  try {
    answer = await fetch(where.base + path, { method: 'POST', signal, body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${where.key}` } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { message: 'The gateway does not answer', details: `${where.base} could not be reached.` });
  }
  if (!answer.ok) throw new ApiError(answer.status, (await answer.json().catch(() => null))?.error);
  return answer;
}
