// Calls of the management API. The key lives in this module's memory only and is gone with the tab.

import { store } from './store.js';

export const BASE = '/iblink/v1/foundry-local';
let managementKey = '';

/** An error as the API states it: what happened (message), why and what next (details, reason). */
export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `The service answered with status ${status}`);
    this.status = status;
    this.code = error?.code ?? '';
    this.details = [error?.details, error?.reason].filter(Boolean).join(' ');
    this.param = error?.param ?? null;
  }
}

export const setManagementKey = (key) => { managementKey = key; };
export const hasManagementKey = () => managementKey !== '';

/** The path of a model's resource. */
export const modelPath = (name, rest = '') => `/models/${encodeURIComponent(name)}${rest}`;

/** The response itself, for streams. Throws ApiError. */
export async function open(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (managementKey) headers.Authorization = `Bearer ${managementKey}`;
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { message: 'The service does not answer', details: 'It may have been stopped. The page reconnects by itself.' });
  }
  if (answer.ok) return answer;
  const error = (await answer.json().catch(() => null))?.error;
  if (answer.status === 401) store.set({ link: { status: 'key', wrongKey: managementKey !== '' } });
  throw new ApiError(answer.status, error);
}

/** The JSON of an answer. Throws ApiError. */
export async function call(method, path, body, signal) {
  return (await open(method, path, body, signal)).json();
}

export const get = (path, signal) => call('GET', path, undefined, signal);
export const post = (path, body, signal) => call('POST', path, body, signal);
export const remove = (path, body) => call('DELETE', path, body);

/** The answer, or null where this service has no such endpoint. */
export async function getIfThere(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof ApiError && [404, 405].includes(error.status)) return null;
    throw error;
  }
}
