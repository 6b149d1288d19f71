"""The clients of the table: what each is started with, and the one setting that some need."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import environments
from environments import HERE

SHOP = {
    "question": "Are there enough widgets? Order what is missing to 20.",
    "edit": "result.units=70",
    "answer": "There were 7, so 13 more are ordered.",
    "other": "There are 70, which is enough.",
    "tool": "stock",
}
WRAPPED = {**SHOP, "edit": 'result~=/"units":7/"units":70/'}  # coding agents put words around what a server says
NUMBER = {
    "question": "What is the square of the number in NUMBER.txt?",
    "edit": "result~=/number=7/number=12/",
    "answer": "Its square is 49.",
    "other": "Its square is 144.",
    "tool": None,
}


@dataclass
class Client:
    """One row. `package` is the one whose version is shown; `mcp` says that the tools are those of an MCP server."""

    name: str
    title: str
    language: str
    environment: str
    package: str
    script: str = ""
    arguments: list = field(default_factory=list)
    task: dict = field(default_factory=lambda: SHOP)
    mcp: bool = False
    settings: dict = field(default_factory=dict)
    needs: str = ""


@dataclass
class Ready:
    """An installed client: its command, its version, and variables and files that it is started with."""

    command: list
    version: str
    path: list
    home_files: dict = field(default_factory=dict)


CLAUDE = {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
GEMINI = {"GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_TELEMETRY_ENABLED": "false"}

CLIENTS = [
    Client("py-openai-chat", "openai, Chat Completions", "Python", "sdk", "openai", "openai_chat.py"),
    Client("py-openai-responses", "openai, Responses kept by the provider", "Python", "sdk", "openai",
           "openai_responses.py"),
    Client("py-anthropic", "anthropic", "Python", "sdk", "anthropic", "anthropic_messages.py"),
    Client("py-google-genai", "google-genai", "Python", "sdk", "google-genai", "google_genai.py"),
    Client("py-litellm", "litellm, OpenAI", "Python", "litellm", "litellm", "litellm_chat.py"),
    Client("py-litellm-anthropic", "litellm, Anthropic", "Python", "litellm", "litellm", "litellm_chat.py",
           ["anthropic/claude-sonnet-4-5"]),
    Client("py-litellm-gemini", "litellm, Gemini", "Python", "litellm", "litellm", "litellm_chat.py",
           ["gemini/gemini-2.5-flash"]),
    Client("py-langgraph", "langgraph with langchain-openai", "Python", "langgraph", "langgraph",
           "langgraph_agent.py"),
    Client("py-pydantic-ai", "pydantic-ai, OpenAI", "Python", "pydanticai", "pydantic-ai-slim",
           "pydantic_ai_agent.py"),
    Client("py-pydantic-ai-google", "pydantic-ai, Google", "Python", "pydanticai", "pydantic-ai-slim",
           "pydantic_ai_agent.py", ["google:gemini-2.5-flash"]),
    Client("py-openai-agents-mcp", "openai-agents with an MCP server", "Python", "agents", "openai-agents",
           "openai_agents_mcp.py", mcp=True, settings={"OPENAI_AGENTS_DISABLE_TRACING": "1"},
           needs="`OPENAI_AGENTS_DISABLE_TRACING=1`, which keeps its traces from OpenAI's own host"),
    Client("py-mcp", "mcp with openai", "Python", "agents", "mcp", "mcp_agent.py", mcp=True),
    Client("node-openai", "openai", "Node", "sdk", "openai", "openai.mjs"),
    Client("node-anthropic", "@anthropic-ai/sdk", "Node", "sdk", "@anthropic-ai/sdk", "anthropic.mjs"),
    Client("node-google-genai", "@google/genai", "Node", "sdk", "@google/genai", "google_genai.mjs"),
    Client("node-mcp", "@modelcontextprotocol/sdk with openai", "Node", "sdk", "@modelcontextprotocol/sdk",
           "mcp_agent.mjs", mcp=True),
    Client("claude-code", "Claude Code", "CLI", "claude", "@anthropic-ai/claude-code", task=NUMBER,
           settings=CLAUDE),
    Client("codex", "Codex", "CLI", "codex", "@openai/codex", task=NUMBER,
           needs='`-c openai_base_url="\\"$OPENAI_BASE_URL\\""`: it reads no variable'),
    Client("gemini-cli", "Gemini CLI", "CLI", "gemini", "@google/gemini-cli", task=NUMBER,
           settings=GEMINI,
           needs="`security.auth.selectedType` in `~/.gemini/settings.json`: `gemini-api-key`"),
    Client("claude-code-mcp", "Claude Code with an MCP server", "CLI", "claude", "@anthropic-ai/claude-code",
           mcp=True, task=WRAPPED, settings={**CLAUDE, "ENABLE_TOOL_SEARCH": "false"}),
    Client("codex-mcp", "Codex with an MCP server", "CLI", "codex", "@openai/codex", mcp=True, task=WRAPPED),
    Client("gemini-cli-mcp", "Gemini CLI with an MCP server", "CLI", "gemini", "@google/gemini-cli", mcp=True,
           task=WRAPPED, settings=GEMINI),
]  # fmt: skip


def ready(client, wrap):
    """Installs what a client needs. `wrap` is put before the command of an MCP server.

    Raises NotInstalled.
    """
    if client.language == "Python":
        installed = environments.python(client.environment)
        python = str(installed.programs / "python")
        server = [*wrap, python, str(HERE / "python" / "stock_server.py")] if client.mcp else []
        command = [python, str(HERE / "python" / client.script), *client.arguments, *server]
        return Ready(command, installed.versions[client.package], [])
    node, _ = environments.node_program()
    installed = environments.node(client.environment)
    agents = environments.node_agents(environments.node("sdk")) if client.language == "Node" or client.mcp else None
    server = [*wrap, str(node), str(agents / "stock_server.mjs")] if client.mcp else []
    path, version = [str(node.parent)], installed.versions[client.package]
    if client.language == "Node":
        return Ready([str(node), str(agents / client.script), *client.arguments, *server], version, path)
    begin = {"claude": claude, "codex": codex, "gemini": gemini}[client.environment]
    command, home_files = begin(installed.programs, client.task["question"], server)
    return Ready(command, version, path, home_files)


def claude(programs: Path, question, server):
    command = [str(programs / "claude"), "-p", question, "--model", "claude-sonnet-4-5"]
    if not server:
        return [*command, "--allowedTools", "Bash"], {}
    config = {"mcpServers": {"shop": {"command": server[0], "args": server[1:]}}}
    allowed = "mcp__shop__stock,mcp__shop__order"
    return [*command, "--strict-mcp-config", "--mcp-config", json.dumps(config), "--allowedTools", allowed], {}


def codex(programs: Path, question, server, more=""):
    options = (
        '-c openai_base_url="\\"$OPENAI_BASE_URL\\"" -c features.plugins=false -c analytics.enabled=false'
        f" -m gpt-5.1 --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox{more}"
    )
    config = ""
    if server:
        config = (
            f"[mcp_servers.shop]\ncommand = {json.dumps(server[0])}\nargs = {json.dumps(server[1:])}\n"
            'required = true\nenv_vars = ["STOCK_STARTS"]\n'
        )
    command = ["sh", "-c", f'exec "$0" exec {options} "$1"', str(programs / "codex"), question]
    return command, {".codex/config.toml": config}


def gemini(programs: Path, question, server):
    settings = {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
    }
    if server:
        settings["mcpServers"] = {"shop": {"command": server[0], "args": server[1:], "trust": True}}
    command = [str(programs / "gemini"), "-m", "gemini-2.5-flash", "--yolo", "-p", question]
    return command, {".gemini/settings.json": json.dumps(settings)}
