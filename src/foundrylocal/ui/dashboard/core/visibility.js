// Streams are open only while the page is seen: a browser has six connections for one address, and pages in the
// background, or kept for the Back button, would use them up.

const HIDDEN_MS = 30_000;

/** A controller that is aborted when the page is left, or was hidden for a while. */
export function whileSeen() {
  const stop = new AbortController();
  let timer = null;
  const onChange = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => stop.abort(), HIDDEN_MS);
  };
  document.addEventListener('visibilitychange', onChange, { signal: stop.signal });
  addEventListener('pagehide', () => stop.abort(), { signal: stop.signal });
  onChange();
  return stop;
}

/** Wait until the page is seen. */
export function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true });
  });
}
