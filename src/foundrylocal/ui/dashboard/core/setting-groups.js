// How the settings are shown: group, plain label, unit, and when a change takes effect. A setting that is not listed here is
// shown under "Other" with its own name, so that a new one is never missing.

export const GROUPS = ['Network', 'Models and memory', 'Loading', 'Requests', 'Downloads', 'Logs', 'Other'];

const [NOW, LOAD, START] = ['at once', 'on the next load', 'when the service starts again'];

/** name: [group, label, unit, when] */
const ROWS = {
  port: ['Network', 'Port for applications (gateway)', '', 'when the server starts again'],
  gateway_host: ['Network', 'Address for applications', '', 'when the server starts again'],
  api_host: ['Network', 'Address of the management API', '', START],
  api_port: ['Network', 'Port of the management API', '', START],
  management_key: ['Network', 'Management key', '', NOW],
  allowed_hosts: ['Network', 'Host names that may be used', '', NOW],
  allowed_origins: ['Network', 'Web pages that may call', '', NOW],
  ollama_port: ['Network', 'Port of Ollama’s API', '', START],
  memory_reserve_mb: ['Models and memory', 'Memory that stays free', 'MB', LOAD],
  memory_budget_mb: ['Models and memory', 'Memory for all models together', 'MB', LOAD],
  idle_unload_seconds: ['Models and memory', 'Unload an idle model after', 'seconds', NOW],
  load_at_start: ['Models and memory', 'Load when the service starts', '', START],
  aliases: ['Models and memory', 'Other names for models', '', NOW],
  drain_seconds: ['Models and memory', 'Time for running answers before a switch', 'seconds', NOW],
  restart_delays_seconds: ['Models and memory', 'Waits before a crashed model is restarted', 'seconds', NOW],
  prompt_cache_mb: ['Models and memory', 'Disk for saved prompts', 'MB', NOW],
  prompt_cache_keep: ['Models and memory', 'Keep saved prompts when the service ends', '', NOW],
  context_size: ['Loading', 'Context', 'tokens', LOAD],
  parallel: ['Loading', 'Requests at the same time', 'slots', LOAD],
  threads: ['Loading', 'Processor threads', '', LOAD],
  gpu_layers: ['Loading', 'Layers on the GPU', '', LOAD],
  kv_cache_type: ['Loading', 'Number format of the context', '', LOAD],
  speculative: ['Loading', 'Speculative decoding', '', LOAD],
  engine: ['Loading', 'Engine', '', LOAD],
  engines: ['Loading', 'Engines of your own', '', START],
  worker_command: ['Loading', 'Command of the worker', '', LOAD],
  request_limit_mb: ['Requests', 'Largest request', 'MB', NOW],
  queue_size: ['Requests', 'Requests that may wait for a model', '', NOW],
  responses_kept: ['Requests', 'Responses kept for previous_response_id', '', NOW],
  requests_kept: ['Requests', 'Requests in the list', '', NOW],
  capture_requests: ['Requests', 'Requests kept with their contents', '', NOW],
  cache_dir: ['Downloads', 'Folder for models', '', NOW],
  model_folders: ['Downloads', 'Folders that are searched for models', '', NOW],
  hub_allowed_hosts: ['Downloads', 'Hosts that the hub may lead to', '', START],
  default_log_level: ['Logs', 'What is logged', '', NOW],
};

export function aboutSetting(name) {
  const [group, label, unit, when] = ROWS[name] ?? ['Other', null, '', null];
  const words = name.replaceAll('_', ' ');
  return { group, label: label ?? words[0].toUpperCase() + words.slice(1), unit, when };
}
