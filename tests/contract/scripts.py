"""The commands that people were given, as they type them; `localize` changes addresses, names and the key."""

from __future__ import annotations

from tests.running import BASE_MODEL, CHAT_MODEL, CHAT_MODEL_ID

HEALTH = "curl http://localhost:9500/iblink/v1/foundry-local/health"
INFO = "curl http://localhost:9500/iblink/v1/foundry-local/info"
START = """
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{
    "model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
  }'
"""
STATUS = "curl http://localhost:9500/iblink/v1/foundry-local/status"

WORKFLOW_1 = (
    """
# 1. Check API health
curl http://localhost:9500/iblink/v1/foundry-local/health

# 2. Get server info
curl http://localhost:9500/iblink/v1/foundry-local/info

# 3. List available models
curl http://localhost:9500/iblink/v1/foundry-local/models | jq '.models[] | {simple_name, size, is_downloaded}'

# 4. Download a small model
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF/download"

# 5. Start server with the downloaded model
"""
    + START
    + """
# 6. Check server status
curl http://localhost:9500/iblink/v1/foundry-local/status

# 7. Use the model (via FoundryLocal proxy)
curl -X POST http://127.0.0.1:1234/v1/chat/completions \\
  -H "Authorization: Bearer fl-YourApiKey123" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "messages": [{"role": "user", "content": "Hello!"}]
  }'
"""
)

WORKFLOW_2 = """
# Start streaming download
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-3B-Instruct-Q4_K_M-GGUF/download-stream" -N
"""

WORKFLOW_3 = """
# Check current status
curl http://localhost:9500/iblink/v1/foundry-local/status | jq '.current_model'

# Switch to a different model
curl -X POST http://localhost:9500/iblink/v1/foundry-local/switch-model \\
  -H "Content-Type: application/json" \\
  -d '{
    "model_name": "Qwen2.5-3B-Instruct-Q4_K_M-GGUF",
    "options": {
      "auto_download": true
    }
  }'

# Verify switch
curl http://localhost:9500/iblink/v1/foundry-local/status | jq '.current_model'
"""

WORKFLOW_4 = """
# List all available models
curl http://localhost:9500/iblink/v1/foundry-local/models \\
  | jq '.models[] | select(.is_downloaded == false) | .simple_name'

# Download multiple models
for model in "Qwen2.5-0.5B-Instruct-Q8_0-GGUF" "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"; do
  echo "Downloading $model..."
  curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/$model/download"
done

# List downloaded models
curl http://localhost:9500/iblink/v1/foundry-local/models/downloaded

# Delete an unused model
curl -X DELETE "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
"""

WORKFLOW_5_FIRST_TERMINAL = "curl -N http://localhost:9500/iblink/v1/foundry-local/logs/stream"
WORKFLOW_5 = """
# In another terminal, perform operations
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{"model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"}'

# Check recent logs for errors
curl "http://localhost:9500/iblink/v1/foundry-local/logs?count=20" \\
  | jq '.[] | select(.level == "ERROR")'

# Get server info
curl http://localhost:9500/iblink/v1/foundry-local/info | jq
"""

USAGE = """
# Get the endpoint and API key from the start response
ENDPOINT="http://127.0.0.1:1234/v1"
API_KEY="fl-YourApiKey123"
"""
USAGE_CHAT = (
    USAGE
    + """
# Chat completion
curl -X POST "$ENDPOINT/chat/completions" \\
  -H "Authorization: Bearer $API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "messages": [
      {"role": "user", "content": "What is the capital of France?"}
    ]
  }'
"""
)
USAGE_STREAM = (
    USAGE
    + """
# Streaming chat
curl -X POST "$ENDPOINT/chat/completions" \\
  -H "Authorization: Bearer $API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "messages": [
      {"role": "user", "content": "Tell me a story"}
    ],
    "stream": true
  }' \\
  -N
"""
)

TIP_1 = """
# Auto-download enabled (default)
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{
    "model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "options": {
      "auto_download": true
    }
  }'

# Or download explicitly first for better control
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF/download-stream" -N
"""

TIP_2 = """
# Use streaming endpoints for long-running operations
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-3B-Instruct-Q4_K_M-GGUF/download-stream" -N

# Instead of non-streaming which gives no progress feedback
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/Qwen2.5-3B-Instruct-Q4_K_M-GGUF/download"
"""

TIP_3 = (
    """
# Always check status before starting
status=$(curl -s http://localhost:9500/iblink/v1/foundry-local/status | jq -r '.is_running')

if [ "$status" == "true" ]; then
  echo "Server is running, stopping first..."
  curl -X POST http://localhost:9500/iblink/v1/foundry-local/stop
fi

# Now start with new model
"""
    + START
)

TIP_4 = """
# Instead of manually stopping and starting
curl -X POST http://localhost:9500/iblink/v1/foundry-local/stop
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{"model_name": "new-model"}'

# Use switch-model (does both automatically)
curl -X POST http://localhost:9500/iblink/v1/foundry-local/switch-model \\
  -H "Content-Type: application/json" \\
  -d '{"model_name": "new-model"}'
"""

TIP_5 = """
# Check what's already downloaded before starting
curl http://localhost:9500/iblink/v1/foundry-local/models/downloaded \\
  | jq '.models[] | .simple_name'
"""

TIP_6 = """
# Large models may need more time to load
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{
    "model_name": "Llama-3.2-3B-Instruct-Q8_0-GGUF",
    "options": {
      "timeout_seconds": 300,
      "auto_download": true
    }
  }'
"""

TIP_7 = """
# Set custom cache directory for models
curl -X POST http://localhost:9500/iblink/v1/foundry-local/config \\
  -H "Content-Type: application/json" \\
  -d '{
    "cache_dir": "D:\\\\AI\\\\Models"
  }'

# Verify configuration
curl http://localhost:9500/iblink/v1/foundry-local/info | jq '.configuration.cache_dir'
"""

TIP_9 = """
# List all downloaded models with sizes
curl http://localhost:9500/iblink/v1/foundry-local/models/downloaded \\
  | jq '.models[] | {name: .simple_name, size: .file_size_formatted}'

# Delete unused models to free space
curl -X DELETE "http://localhost:9500/iblink/v1/foundry-local/models/old-model-name"
"""

TIP_10 = """
# Periodic health check script
while true; do
  health=$(curl -s http://localhost:9500/iblink/v1/foundry-local/health | jq -r '.foundry_local.is_healthy')

  if [ "$health" == "true" ]; then
    echo "$(date): Server healthy"
  else
    echo "$(date): Server unhealthy - restarting..."
    curl -X POST http://localhost:9500/iblink/v1/foundry-local/stop
    sleep 2
    curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
      -H "Content-Type: application/json" \\
      -d '{"model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"}'
  fi

  sleep 30
done
"""

QUICK_REFERENCE = """
# Start server
curl -X POST http://localhost:9500/iblink/v1/foundry-local/start \\
  -H "Content-Type: application/json" \\
  -d '{"model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"}'

# Stop server
curl -X POST http://localhost:9500/iblink/v1/foundry-local/stop

# Get status
curl http://localhost:9500/iblink/v1/foundry-local/status

# Switch model
curl -X POST http://localhost:9500/iblink/v1/foundry-local/switch-model \\
  -H "Content-Type: application/json" \\
  -d '{"model_name": "model-name"}'

# List models
curl http://localhost:9500/iblink/v1/foundry-local/models

# Download model
curl -X POST "http://localhost:9500/iblink/v1/foundry-local/models/model-name/download"

# Health check
curl http://localhost:9500/iblink/v1/foundry-local/health
"""

JS_START_STREAM = """
const response = await fetch('http://localhost:9500/iblink/v1/foundry-local/start-stream', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    model_name: 'Qwen2.5-0.5B-Instruct-Q8_0-GGUF'
  })
});

const reader = response.body.getReader();
const decoder = new TextDecoder();

while (true) {
  const { done, value } = await reader.read();
  if (done) break;

  const text = decoder.decode(value);
  const lines = text.split('\\n');

  for (const line of lines) {
    if (line.startsWith('data: ')) {
      const data = JSON.parse(line.substring(6));
      console.log(`[${data.type}] ${data.message}`);
    }
  }
}
"""

JS_DOWNLOAD_STREAM = """
const modelName = 'Qwen2.5-3B-Instruct-Q4_K_M-GGUF';
const response = await fetch(
  `http://localhost:9500/iblink/v1/foundry-local/models/${modelName}/download-stream`,
  { method: 'POST' }
);

const reader = response.body.getReader();
const decoder = new TextDecoder();

while (true) {
  const { done, value } = await reader.read();
  if (done) break;

  const text = decoder.decode(value);
  const lines = text.split('\\n');

  for (const line of lines) {
    if (line.startsWith('data: ')) {
      const data = JSON.parse(line.substring(6));

      if (data.type === 'progress') {
        console.log(`Progress: ${data.message}`);
      } else if (data.type === 'success') {
        console.log('Download complete!');
      } else if (data.type === 'error') {
        console.error(`Error: ${data.message}`);
      }
    }
  }
}
"""

JS_LOG_STREAM = """
const eventSource = new EventSource('http://localhost:9500/iblink/v1/foundry-local/logs/stream');

eventSource.onmessage = (event) => {
  const log = JSON.parse(event.data);
  console.log(`[${log.timestamp}] ${log.level}: ${log.message}`);
};

eventSource.onerror = (error) => {
  console.error('SSE Error:', error);
  eventSource.close();
};
"""


def localize(script: str, *, port: int, gateway_port: int = 1234, key: str = "", cache_dir: str = "") -> str:
    """The script with this service's ports, the two models that are at hand, its key and a folder of this system."""
    return (
        script.replace("localhost:9500", f"localhost:{port}")
        .replace("127.0.0.1:1234", f"127.0.0.1:{gateway_port}")
        .replace("fl-YourApiKey123", key)
        .replace("D:\\\\AI\\\\Models", cache_dir)
        .replace("Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF", CHAT_MODEL_ID)
        .replace("Qwen2.5-0.5B-Instruct-Q8_0-GGUF", CHAT_MODEL)
        .replace("Llama-3.2-3B-Instruct-Q8_0-GGUF", CHAT_MODEL)
        .replace("Qwen2.5-3B-Instruct-Q4_K_M-GGUF", BASE_MODEL)
        .replace("new-model", BASE_MODEL)
        .replace('"model-name"', f'"{BASE_MODEL}"')
        .replace("/model-name/", f"/{BASE_MODEL}/")
        .replace("old-model-name", BASE_MODEL)
    )
