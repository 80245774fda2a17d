// Settings of common applications for this service, ready to paste.

/** name: lines for {base (with /v1), root (without), key, model} */
export const CLIENTS = {
  'Open WebUI': ({ base, key }) => `Settings → Connections → OpenAI API → Add\nURL: ${base}\nKey: ${key}`,
  Continue: ({ base, key, model }) => `# ~/.continue/config.yaml\nmodels:\n  - name: ${model}\n    provider: openai\n    model: ${model}\n    apiBase: ${base}\n    apiKey: ${key}`,
  'VS Code': ({ base, key, model }) => `// settings.json, for GitHub Copilot Chat's own models\n"github.copilot.chat.customOAIModels": {\n  "${model}": { "name": "${model}", "url": "${base}", "toolCalling": true, "requiresAPIKey": true }\n}\n// Key, when VS Code asks for it: ${key}`,
  LangChain: ({ base, key, model }) => `from langchain_openai import ChatOpenAI  # pip install langchain-openai\n\nchat = ChatOpenAI(base_url="${base}", api_key="${key}", model="${model}")\nprint(chat.invoke("Hello!").content)`,
  'Claude Code': ({ root, key, model }) => `export ANTHROPIC_BASE_URL=${root}\nexport ANTHROPIC_AUTH_TOKEN=${key}\nexport ANTHROPIC_MODEL=${model}\nclaude`,
};

/** The API styles that the gateway speaks: name, path, words. */
export const STYLES = [
  ['OpenAI chat', 'POST /v1/chat/completions', 'most applications'],
  ['OpenAI responses', 'POST /v1/responses', 'agents, Codex'],
  ['OpenAI completions', 'POST /v1/completions', 'plain text completion'],
  ['OpenAI embeddings', 'POST /v1/embeddings', 'semantic search'],
  ['Rerank', 'POST /v1/rerank', 'ranks texts for a query'],
  ['Anthropic messages', 'POST /v1/messages', 'Claude Code; the base URL has no /v1'],
  ['Ollama', 'POST /api/chat', 'programs that know Ollama only; the base URL has no /v1'],
  ['Models', 'GET /v1/models', 'list of models'],
];
