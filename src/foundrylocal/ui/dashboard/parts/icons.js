// Small line drawings of 16 by 16; always beside a word, so hidden from screen readers.

import { h } from '../core/dom.js';

const PATHS = {
  overview: 'M2.5 9.5v4h4v-4zM9.5 2.5h4v4h-4zM2.5 2.5h4v4h-4zM9.5 9.5h4v4h-4z',
  models: 'M8 1.8 13.6 5v6L8 14.2 2.4 11V5zM2.6 5.1 8 8.2l5.4-3.1M8 8.2v5.8',
  chat: 'M2.5 3h11v8h-6l-3 2.6V11h-2z',
  requests: 'M2 8h3l2-5 2.5 10L11.5 8H14',
  logs: 'M3 4h10M3 8h10M3 12h6',
  connect: 'M6.5 9.500l3-3M7 4.5 9 2.600a3 3 0 0 1 4.3 4.300L11.5 9M9 11.500l-2 1.900A3 3 0 0 1 2.7 9.100L4.5 7',
  cluster: 'M2.5 2.500h11v4h-11zM2.5 9.500h11v4h-11zM5 4.500h.01M5 11.500h.01M8 6.500v3',
  settings: 'M2.5 4.500h5M11 4.500h2.500M2.5 11.500H5M8.5 11.500h5M9.2 2.800v3.400M6.7 9.800v3.4',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  download: 'M8 2.500v7.500M4.8 7 8 10.2 11.2 7M3 13h10',
  search: 'M7 12a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM10.7 10.7 14 14',
  close: 'M4 4l8 8M12 4l-8 8',
  copy: 'M5.5 5.500h8v8h-8zM10.5 5.300V2.500h-8v8h2.8',
  check: 'M3 8.5 6.5 12 13 4.5',
  warning: 'M8 2.5 14.3 13.300H1.700zM8 6.500v3.200M8 11.500v.01',
  stop: 'M4 4h8v8H4z',
  play: 'M5 3.500v9l7-4.500z',
  pause: 'M5.5 3.500v9M10.5 3.500v9',
  image: 'M2.5 3h11v10h-11zM2.7 11l3-3 2.5 2.5 2-1.8 3 2.800M10.5 6v.01',
  edit: 'M3 13l.7-3L11 2.7 13.3 5 6 12.300z',
  retry: 'M13 8a5 5 0 1 1-1.5-3.600M13 2.500V5h-2.5',
  trash: 'M3 4.500h10M6.5 4.300V2.500h3v1.800M4.3 4.500l.6 9h6.200l.6-9',
  pin: 'M6 2.500h4l-.5 4 2 2.500h-7l2-2.500zM8 9v4.5',
  down: 'M4 6l4 4 4-4',
};

export const icon = (name) => h('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', focusable: 'false' },
  h('path', { d: PATHS[name] ?? PATHS.more }));
