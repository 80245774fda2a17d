// What this browser remembers: theme, single-key shortcuts, columns. Never a key, never a conversation by itself.

const PREFIX = 'foundrylocal.';

export function preference(name, fallback) {
  try {
    const found = localStorage.getItem(PREFIX + name);
    return found === null ? fallback : JSON.parse(found);
  } catch {
    return fallback;
  }
}

export function prefer(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch { /* a browser that keeps nothing keeps the defaults */ }
}

/** `system`, `light` or `dark`. */
export function applyTheme(theme = preference('theme', 'system')) {
  prefer('theme', theme);
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
