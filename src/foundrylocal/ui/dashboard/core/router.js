// Every view has a URL: #/models/NAME?tab=memory. The module of a screen is loaded when it is first shown.

export const SCREENS = {
  overview: { title: 'Overview', element: 'fl-overview', key: 'o' },
  models: { title: 'Models', element: 'fl-models', key: 'm' },
  chat: { title: 'Chat', element: 'fl-chat', key: 'c' },
  requests: { title: 'Requests', element: 'fl-requests', key: 'r' },
  logs: { title: 'Logs', element: 'fl-logs', key: 'l' },
  connect: { title: 'Connect', element: 'fl-connect', key: 'n' },
  cluster: { title: 'Cluster', element: 'fl-cluster', key: 'u' },
  settings: { title: 'Settings', element: 'fl-settings', key: 's' },
};

/** Where the page is: the screen, the name after it, and the parameters. */
export function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [screen, ...rest] = path.split('/');
  return {
    screen: screen in SCREENS ? screen : 'overview',
    name: rest.length ? decode(rest.join('/')) : null,
    query: new URLSearchParams(query),
  };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view. */
export function href(screen, name, query = {}) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null && value !== ''));
  return `#/${screen}${name ? `/${encodeURIComponent(name)}` : ''}${given.size ? `?${given}` : ''}`;
}

export const go = (...where) => { location.hash = href(...where); };

/** Change the address without a new entry in the history. */
export function replace(...where) {
  history.replaceState(null, '', href(...where));
  dispatchEvent(new HashChangeEvent('hashchange'));
}
