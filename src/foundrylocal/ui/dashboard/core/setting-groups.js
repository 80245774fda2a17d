// How the settings are shown: group, plain label, unit, and when a change takes effect. A setting that is not listed here is
// shown under "Other" with its own name, so that a new one is never missing.

export const GROUPS = ['Network', 'Models and memory', 'Loading', 'Requests', 'Downloads', 'Cluster', 'Logs', 'Other'];

const [NOW, LOAD, START] = ['at once', 'on the next load', 'when the service starts again'];

/** name: [group, label, unit, when] */
const ROWS = {
  port: ['Network', 'Port for applications (gateway)', '', 'when the server starts again'],
  gateway_host: ['Network', 'Address for applications', '', 'when the server starts again'],
  api_host: ['Network', 'Address of the management API', '', START],
  api_port: ['Network', 'Port of the management API', '', START],
  management_key: ['Network', 'Management key', '', NOW],
  allowed_hosts: ['Network', 'Allowed host names', '', NOW],
  allowed_origins: ['Network', 'Allowed web origins', '', NOW],
  ollama_port: ['Network', 'Port of Ollama’s API', '', NOW],
  memory_reserve_mb: ['Models and memory', 'Memory that stays free', 'MB', LOAD],
  memory_budget_mb: ['Models and memory', 'Memory for all models on one machine', 'MB', LOAD],
  replicas: ['Models and memory', 'Replicas of a model', '', NOW],
  idle_unload_seconds: ['Models and memory', 'Unload an idle model after', 'seconds', NOW],
  load_at_start: ['Models and memory', 'Model to load when the service starts', '', START],
  aliases: ['Models and memory', 'Model aliases', '', NOW],
  drain_seconds: ['Models and memory', 'Time for running answers to finish before a switch', 'seconds', NOW],
  restart_delays_seconds: ['Models and memory', 'Delays before a crashed model is restarted', 'seconds', NOW],
  prompt_cache_mb: ['Models and memory', 'Disk for saved prompts', 'MB', NOW],
  prompt_cache_keep: ['Models and memory', 'Keep saved prompts when the service ends', '', NOW],
  context_size: ['Loading', 'Context size', 'tokens', LOAD],
  parallel: ['Loading', 'Parallel requests', 'slots', LOAD],
  threads: ['Loading', 'CPU threads', '', LOAD],
  gpu_layers: ['Loading', 'GPU layers', '', LOAD],
  kv_cache_type: ['Loading', 'KV cache type', '', LOAD],
  speculative: ['Loading', 'Speculative decoding', '', LOAD],
  engine: ['Loading', 'Engine', '', LOAD],
  engines: ['Loading', 'Custom engines', '', LOAD],
  worker_command: ['Loading', 'Worker command', '', START],
  request_limit_mb: ['Requests', 'Largest request', 'MB', NOW],
  queue_size: ['Requests', 'Requests that may wait for a model', '', NOW],
  responses_kept: ['Requests', 'Responses kept for previous_response_id', '', NOW],
  requests_kept: ['Requests', 'Requests kept in the list', '', NOW],
  capture_requests: ['Requests', 'Requests kept with their bodies', '', NOW],
  trace_prompts: ['Requests', 'Messages in exported traces', '', NOW],
  cache_dir: ['Downloads', 'Model folder', '', NOW],
  model_folders: ['Downloads', 'Additional folders with models', '', NOW],
  hub_allowed_hosts: ['Downloads', 'Hosts that the hub may redirect to', '', NOW],
  cluster_address: ['Cluster', 'Address of the cluster', '', START],
  cluster_keep_seconds: ['Cluster', 'Keep models loaded while the service is away', 'seconds', START],
  cluster_files: ['Cluster', 'Where nodes get model files', '', LOAD],
  default_log_level: ['Logs', 'Log level', '', NOW],
};

export function aboutSetting(name) {
  const [group, label, unit, when] = ROWS[name] ?? ['Other', null, '', null];
  const words = name.replaceAll('_', ' ');
  return { group, label: label ?? words[0].toUpperCase() + words.slice(1), unit, when };
}
