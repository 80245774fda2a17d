// Speaks to screen readers through one polite region; the same words are not repeated within a second.

let last = '';
let lastAt = 0;

export function announce(words) {
  const region = document.getElementById('announcer');
  if (!region || (words === last && Date.now() - lastAt < 1000)) return;
  [last, lastAt] = [words, Date.now()];
  region.textContent = '';
  requestAnimationFrame(() => { region.textContent = words; });
}
