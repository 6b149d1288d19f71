"""The rows of `docs/instrumentation.md`: agents under instrumentation, and what of its settings leads to a collector."""

from dataclasses import dataclass

import environments
import roster
from roster import Client, Ready

SDKS = ["openai_chat", "openai_responses", "anthropic_messages", "three_shops"]
AUTO = "AGENTS/node_modules/@opentelemetry/auto-instrumentations-node"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# It reads no variable for its exporters either.
CODEX = "".join(
    f' -c "otel.{exporter}={{otlp-http={{endpoint=\\"$OTEL_EXPORTER_OTLP_ENDPOINT/v1/{signal}\\",protocol=\\"binary\\"}}}}"'
    for exporter, signal in [("exporter", "logs"), ("trace_exporter", "traces")]
)
CLAUDE = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1", "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1", "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp",
}  # fmt: skip


@dataclass
class Setup(Client):
    """One row. `exports` are the variables that hold the address of the user's own collector."""

    exports: tuple = (ENDPOINT,)
    tools: bool = False
    ingested: bool = False  # it goes to OpenAI's host, in OpenAI's own form
    models: bool = True  # it has spans about calls of the model
    steady: bool = True  # it makes the same spans every time


def python(name, title, environment, package, which, agents, **more):
    return Setup(f"traced-{name}", title, "Python", environment, package, "traced.py", [which, *agents], **more)


def node(name, title, package, options, agent, **more):
    return Setup(f"traced-{name}", title, "Node", "traced", package, agent, options, **more)


SETUPS = [
    python("openinference", "OpenInference", "openinference", "openinference-instrumentation-openai", "openinference", SDKS),
    python("openllmetry", "OpenLLMetry", "openllmetry", "opentelemetry-instrumentation-openai", "openllmetry", SDKS),
    python("openlit", "OpenLIT", "openlit", "openlit", "openlit", SDKS),
    python("otelgenai", "OpenTelemetry's own for GenAI", "otelgenai", "opentelemetry-instrumentation-genai-openai",
           "otelgenai", SDKS),
    python("agents", "OpenAI Agents SDK, to OpenAI (`--intercept`)", "openinference", "openai-agents", "agents",
           ["openai_agents"], tools=True, exports=(), ingested=True),
    python("agents-openinference", "OpenAI Agents SDK with OpenInference", "openinference",
           "openinference-instrumentation-openai-agents", "agents_openinference", ["openai_agents"], tools=True),
    python("agents-otelgenai", "OpenAI Agents SDK with OpenTelemetry's own for GenAI", "otelgenai",
           "opentelemetry-instrumentation-genai-openai-agents", "agents_otelgenai", ["openai_agents"], tools=True),
    python("agents-alone", "OpenAI Agents SDK with OpenTelemetry's own for it alone", "otelgenai",
           "opentelemetry-instrumentation-genai-openai-agents", "agents_alone", ["openai_agents"], tools=True, models=False),
    python("pydantic-otlp", "pydantic-ai, Logfire's SDK to a collector", "logfire", "logfire", "logfire",
           ["pydantic_ai_agent"], tools=True),
    python("pydantic-logfire", "pydantic-ai, Logfire", "logfire", "logfire", "logfire", ["pydantic_ai_agent"],
           tools=True, exports=("LOGFIRE_BASE_URL",), settings={"LOGFIRE_TOKEN": "pylf_v1_us_notoken"}),
    node("vercel", "Vercel AI SDK", "ai", ["--import", "AGENTS/exported.mjs"], "vercel.mjs", tools=True),
    node("node-auto", "auto-instrumentations of OpenTelemetry, with openai and @anthropic-ai/sdk",
         "@opentelemetry/auto-instrumentations-node", ["--require", f"{AUTO}/build/src/register.js"], "two_shops.mjs"),
    Setup("traced-claude-code", "Claude Code", "CLI", "claude", "@anthropic-ai/claude-code", task=roster.NUMBER, tools=True,
          settings={**roster.CLAUDE, **CLAUDE}),
    Setup("traced-codex", "Codex", "CLI", "codex", "@openai/codex", task=roster.NUMBER, tools=True,
          steady=False),
]  # fmt: skip


def ready(setup):
    """Installs what a set-up needs. Raises NotInstalled."""
    if setup.environment == "codex":
        installed = environments.node("codex")
        path = [str(environments.node_program()[0].parent)]
        command, home_files = roster.codex(installed.programs, setup.task["question"], [], CODEX)
        return Ready(command, installed.versions[setup.package], path, home_files)
    if setup.language != "Node":
        return roster.ready(setup, [])
    program, _ = environments.node_program()
    installed = environments.node(setup.environment)
    agents = environments.node_agents(installed)
    options = [option.replace("AGENTS", str(agents)) for option in setup.arguments]
    path = [str(program.parent)]
    return Ready([str(program), *options, str(agents / setup.script)], installed.versions[setup.package], path)

