"""The rows of `docs/instrumentation.md`: agents under instrumentation, and what of its settings leads to a collector."""

from dataclasses import dataclass

import environments
import roster
from roster import Client, Ready

SDKS = ["openai_chat", "openai_responses", "anthropic_messages", "three_shops"]
AUTO = "AGENTS/node_modules/@opentelemetry/auto-instrumentations-node"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass
class Setup(Client):
    """One row. `exports` are the variables that hold the address of the user's own collector."""

    exports: tuple = (ENDPOINT,)
    tools: bool = False


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
    python("agents-openinference", "OpenAI Agents SDK with OpenInference", "openinference",
           "openinference-instrumentation-openai-agents", "agents_openinference", ["openai_agents"], tools=True),
    python("agents-otelgenai", "OpenAI Agents SDK with OpenTelemetry's own for GenAI", "otelgenai",
           "opentelemetry-instrumentation-genai-openai-agents", "agents_otelgenai", ["openai_agents"], tools=True),
    python("pydantic-otlp", "pydantic-ai, Logfire's SDK to a collector", "logfire", "logfire", "logfire",
           ["pydantic_ai_agent"], tools=True),
    python("pydantic-logfire", "pydantic-ai, Logfire", "logfire", "logfire", "logfire", ["pydantic_ai_agent"],
           tools=True, exports=("LOGFIRE_BASE_URL",), settings={"LOGFIRE_TOKEN": "pylf_v1_us_notoken"}),
    node("vercel", "Vercel AI SDK", "ai", ["--import", "AGENTS/exported.mjs"], "vercel.mjs", tools=True),
    node("node-auto", "auto-instrumentations of OpenTelemetry, with openai and @anthropic-ai/sdk",
         "@opentelemetry/auto-instrumentations-node", ["--require", f"{AUTO}/build/src/register.js"], "two_shops.mjs"),
]  # fmt: skip


def ready(setup):
    """Installs what a set-up needs. Raises NotInstalled."""
    if setup.language != "Node":
        return roster.ready(setup, [])
    program, _ = environments.node_program()
    installed = environments.node(setup.environment)
    agents = environments.node_agents(installed)
    options = [option.replace("AGENTS", str(agents)) for option in setup.arguments]
    path = [str(program.parent)]
    return Ready([str(program), *options, str(agents / setup.script)], installed.versions[setup.package], path)

