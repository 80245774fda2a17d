// What loading each model that is on this machine would need, by the service's planner: asked for the rows that are
// seen, one after the other, and again when other models were loaded or unloaded.

import { post } from './api.js';
import { store } from './store.js';

/** @type {Map<string, object | null>} plans by name; null while one is asked for, or where there is none */
let plans = new Map();
let loadedThen = null;
let turn = Promise.resolve();
let version = 0;

/** Another number whenever another plan is known. */
export const planVersion = () => version;

/** The plan of loading a model with its own options; null until it is known. */
export function planOf(model) {
  if (loadedThen !== store.state.loaded) {
    loadedThen = store.state.loaded;
    plans = new Map();
    version += 1;
  }
  return plans.get(model.simple_name) ?? null;
}

/** Ask for the plan of a model unless that was done. */
export function wantPlan(model) {
  const name = model.simple_name;
  planOf(model);
  if (plans.has(name)) return;
  const asked = plans;
  asked.set(name, null);
  turn = turn.then(async () => {
    if (asked !== plans) return;
    try {
      asked.set(name, await post('/plan', { model_name: name }));
      version += 1;
      store.set({});
    } catch { /* the lower bound by its size stays */ }
  });
}
