// Numbers, sizes and times as people read them; sizes divide by 1024, as everywhere in the product.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** @param {number | null | undefined} bytes */
export function bytes(bytes) {
  if (bytes == null) return 'unknown';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 1 || (unit && value < 10) ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

export const count = (number) => (number == null ? '–' : number.toLocaleString('en-US'));

/** Tokens as 8K, 32K, 128K. */
export function tokens(number) {
  if (number == null) return 'unknown';
  return number >= 1024 && number % 1024 === 0 ? `${number / 1024}K` : count(number);
}

/** A length of time: 40 s, 3 min, 2 h 5 min. */
export function duration(seconds) {
  if (seconds == null) return '–';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  const minutes = Math.round((whole % 3600) / 60);
  return `${Math.floor(whole / 3600)} h${minutes ? ` ${minutes} min` : ''}`;
}

export function milliseconds(ms) {
  if (ms == null) return '–';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

export const rate = (number) => (number == null ? '–' : `${number < 10 ? number.toFixed(1) : Math.round(number)} tok/s`);
export const clock = (when) => new Date(when).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
export const date = (when) => new Date(when).toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' });
export const ago = (when) => `${duration(Math.max(0, (Date.now() - new Date(when)) / 1000))} ago`;
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

const languageNames = new Intl.DisplayNames([], { type: 'language' });

/** A language by its code, in the reader's own language; the code where the browser does not know it. */
export function languageName(code) {
  try {
    return languageNames.of(code);
  } catch {
    return code;
  }
}
