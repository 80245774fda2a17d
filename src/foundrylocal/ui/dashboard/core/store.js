// The state that all parts of the page show. `live.js` fills it from one event stream; nothing here asks the service.

const listeners = new Set();

/** Complete state; each field is replaced, never changed in place. */
const state = {
  /** @type {{status: 'connecting' | 'live' | 'lost' | 'key', since?: number, retryAt?: number, wrongKey?: boolean}} */
  link: { status: 'connecting' },
  /** @type {object | null} the `state` event */
  server: null,
  downloads: [],
  /** Downloads that ended since the service started, newest last. */
  ended: [],
  /** Model ids. */
  loaded: [],
  downloaded: [],
  /** All models of the registry; null until they were read. */
  models: null,
  machine: null,
  activity: null,
  /** @type {Map<string, object>} requests by id; null where the service does not record them */
  requests: null,
  /** The answer of /cluster; undefined until it was read, null where the service has none. */
  cluster: undefined,
  info: null,
  /** Loads and switches that were started here: name -> {message, percent, error} */
  jobs: {},
};

export const store = {
  get state() { return state; },

  /** Replace some fields and notify every listener. */
  set(fields) {
    Object.assign(state, fields);
    for (const listener of [...listeners]) listener();
  },

  /** @param {() => void} listener @returns {() => void} ends it */
  subscribe(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Whether actions make sense now. */
export const isLive = () => state.link.status === 'live';
