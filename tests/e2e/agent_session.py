"""One turn of a coding agent against the gateway, with nothing else to reach: `python -m tests.e2e.agent_session`.

`test_agents.py` runs this in a network namespace whose only interface is loopback. The engine is scripted: it answers
with a call of the agent's own tool, and with a text once the tool has answered. It prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.running import CHAT_MODEL, FAKE_WORKER, running, store_tiny_model

CONTEXT_TOKENS = 65_536
TURN_TIMEOUT_S = 120
NOTE = "The password is swordfish."
COMMAND = "cat note.txt"
CODEX_CONFIG = """\
model = "{model}"
model_provider = "local"
check_for_update_on_startup = false
[model_providers.local]
name = "local"
base_url = "{endpoint}"
env_key = "LOCAL_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
"""


def turns(agent: str) -> list[dict[str, Any]]:
    """What the engine answers: the agent's tool for commands, then a text."""
    tool, argument = {"codex": ("exec_command", "cmd"), "claude": ("Bash", "command")}[agent]
    return [{"tool": tool, "arguments": {argument: COMMAND}}, {"text": "I have read the note."}]


def command(
    agent: str, program: str, home: Path, endpoint: str, key: str
) -> tuple[list[str], dict[str, str]]:
    """How the agent is started, and its environment: a home of its own and nothing of ours."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    if agent == "codex":
        (home / ".codex").mkdir()
        config = CODEX_CONFIG.format(model=CHAT_MODEL, endpoint=endpoint)
        (home / ".codex" / "config.toml").write_text(config)
        environment |= {"LOCAL_KEY": key, "CODEX_HOME": str(home / ".codex")}
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
        return [program, "exec", *options, "Read note.txt."], environment
    environment |= {
        "ANTHROPIC_BASE_URL": endpoint.removesuffix("/v1"),
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": CHAT_MODEL,
        "ANTHROPIC_SMALL_FAST_MODEL": CHAT_MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    options = ["--output-format", "stream-json", "--verbose", "--allowedTools", "Bash(cat:*)"]
    return [program, "-p", "Read note.txt.", *options], environment


def main() -> None:
    agent, program, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    script = folder / "turns.json"
    script.write_text(json.dumps(turns(agent)))
    service_home, home, work = folder / "service", folder / "home", folder / "work"
    for path in (service_home, home, work):
        path.mkdir()
    (work / "note.txt").write_text(NOTE)
    # The instructions that agents send are longer than the default context.
    store_tiny_model(service_home, context_length=CONTEXT_TOKENS)
    worker = [*FAKE_WORKER, "--turns", str(script)]
    with running(service_home, worker=worker, FOUNDRYLOCAL_CONTEXT_SIZE=str(CONTEXT_TOKENS)) as service:
        started = service.start()
        arguments, environment = command(agent, program, home, started["endpoint"], started["api_key"])
        done = subprocess.run(
            arguments,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TURN_TIMEOUT_S,
        )
        log = service.get("/logs?count=1000").json()
    requests = [entry["message"] for entry in log if "/v1/" in entry["message"]]
    seen = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr, "requests": requests}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
