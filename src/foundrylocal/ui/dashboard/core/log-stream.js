// The live log: a bounded list of lines that arrive in batches; open only while somebody looks.

import { open } from './api.js';
import { events } from './sse.js';
import { seen, whileSeen } from './visibility.js';

export const MAX_LINES = 5000;
const RETRY_MS = 2000;
const TAIL = 500;

/**
 * Follow the log. `onBatch(lines, isAnew)` gets new lines at most once a frame; after a break it gets the last ones anew.
 * @returns {() => void} ends it
 */
export function followLog(onBatch) {
  let isEnded = false;
  let stop = null;
  let pending = [];
  let isQueued = false;
  let isAnew = true;
  const flush = () => {
    isQueued = false;
    const lines = pending;
    pending = [];
    if (lines.length && !isEnded) onBatch(lines, isAnew);
    isAnew = false;
  };
  (async () => {
    for (;;) {
      await seen();
      if (isEnded) return;
      stop = whileSeen();
      isAnew = true;
      pending = [];
      try {
        for await (const line of events(await open('GET', `/logs/stream?tail=${TAIL}`, undefined, stop.signal))) {
          pending.push(line);
          // A tab in the background gets no frames; the list stays bounded all the same. Not cut at each line: that copies it.
          if (pending.length > 2 * MAX_LINES) pending = pending.slice(-MAX_LINES);
          if (!isQueued) {
            isQueued = true;
            requestAnimationFrame(flush);
          }
        }
      } catch { /* it is tried again */ }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  })();
  return () => {
    isEnded = true;
    stop?.abort();
  };
}
