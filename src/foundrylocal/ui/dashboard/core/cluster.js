// The cluster, as far as the page knows it: asked for when the service answers, and again while its screen is shown.

import { getIfThere } from './api.js';
import { store } from './store.js';

const MIN_PAUSE_MS = 2000;
let isReading = false;
let readAt = 0;

/** Read it unless that was done a moment ago; a service without the endpoint leaves it null. */
export async function readCluster() {
  if (isReading || Date.now() - readAt < MIN_PAUSE_MS) return;
  isReading = true;
  try {
    store.set({ cluster: await getIfThere('/cluster') });
  } catch { /* the connection's own state says what is wrong */ }
  readAt = Date.now();
  isReading = false;
}

/** Whether models run on more than this machine, so that the menu has a page for it. */
export const hasCluster = () => Boolean(store.state.cluster && store.state.cluster.state !== 'local');
