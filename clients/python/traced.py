"""Runs agents that are beside this file, one after the other, under instrumentation: traced.py WHICH AGENT…

Each instrumentation is set up as its own manual says; where to export to stands in the environment.
"""

import runpy
import sys
from pathlib import Path

from opentelemetry import _logs, trace


def exported():
    """OpenTelemetry's own SDK, exporting over OTLP by HTTP."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, logs = TracerProvider(), LoggerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    trace.set_tracer_provider(spans)
    _logs.set_logger_provider(logs)


def openinference():
    exported()
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def openllmetry():
    exported()
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def otelgenai():
    exported()
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def openlit():
    import openlit

    openlit.init(application_name="shop")


def logfire():
    """Without a token: to wherever OpenTelemetry's variables say. With one: to Logfire too."""
    import logfire

    logfire.configure(send_to_logfire="if-token-present", console=False, service_name="shop")
    logfire.instrument_pydantic_ai()


def agents():
    """Nothing: the Agents SDK exports to OpenAI by itself."""


def agents_openinference():
    exported()
    from agents import set_trace_processors
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])  # not to OpenAI's own host
    OpenAIAgentsInstrumentor().instrument()


def agents_otelgenai():
    exported()
    from agents import set_trace_processors
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])
    OpenAIInstrumentor().instrument()
    OpenAIAgentsInstrumentor().instrument()


def agents_alone():
    exported()
    from agents import set_trace_processors
    from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])
    OpenAIAgentsInstrumentor().instrument()


def main(which, *agents):
    globals()[which]()
    here = Path(__file__).parent
    sys.path.insert(0, str(here))
    with trace.get_tracer("shop").start_as_current_span("shop"):
        for agent in agents:
            sys.argv[1:] = []
            runpy.run_path(str(here / f"{agent}.py"), run_name="__main__")
    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider()):
        if shutdown := getattr(provider, "shutdown", None):
            shutdown()


main(*sys.argv[1:])
