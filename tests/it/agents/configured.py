"""Sets the SDK of OpenTelemetry up as its variables say, and tells one span and what it was told."""

import os

from opentelemetry import trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

_OTelSDKConfigurator().configure()
with trace.get_tracer("configured").start_as_current_span("told") as span:
    print("recording:", span.is_recording())
provider = trace.get_tracer_provider()
if hasattr(provider, "shutdown"):
    provider.shutdown()
for name in sorted(os.environ):
    if name.startswith("OTEL_") and not name.endswith("_ENDPOINT"):
        print(f"{name}={os.environ[name]}")
