"""Spans in a page of standard Python: OpenTelemetry's protocol in JSON, sent at the end to where
OTEL_EXPORTER_OTLP_ENDPOINT says. Without that variable nothing is sent and nothing else changes.

An agent of yours will rather use OpenTelemetry's SDK and an instrumentation; what goes over the wire is the same.
"""

import atexit
import contextlib
import contextvars
import functools
import json
import os
import secrets
import threading
import time
import urllib.request

ENDPOINT = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
INTERNAL, CLIENT = 1, 3

_current = contextvars.ContextVar("span", default=None)
_lock = threading.Lock()
_ended = []


@contextlib.contextmanager
def span(name, attributes=None, kind=INTERNAL):
    """A span around a block, below the one that is open; an exception is its error."""
    parent = _current.get()
    own = {
        "traceId": parent["traceId"] if parent else secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(time.time_ns()),
        "attributes": [{"key": key, "value": {"stringValue": str(value)}} for key, value in (attributes or {}).items()],
    }
    if parent:
        own["parentSpanId"] = parent["spanId"]
    token = _current.set(own)
    try:
        yield own
    except BaseException as error:
        own["status"] = {"code": 2, "message": str(error)}
        raise
    finally:
        _current.reset(token)
        own["endTimeUnixNano"] = str(time.time_ns())
        with _lock:
            _ended.append(own)


def agent(name):
    return span(f"invoke_agent {name}", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name})


def workflow(name):
    return span(f"invoke_workflow {name}", {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name})


def tool(name, call_id):
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": call_id}
    return span(f"execute_tool {name}", attributes)


def chat(provider):
    """Makes a function that asks a model a span of its own; its `model` is named."""

    def traced(function):
        @functools.wraps(function)
        def ask(messages, model="small", *rest, **parameters):
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
            }
            with span(f"chat {model}", attributes, CLIENT):
                return function(messages, model, *rest, **parameters)

        return ask

    return traced


def in_this_span(function):
    """The function as a thread is to call it, so that its spans stand below the one that is open here."""
    context = contextvars.copy_context()
    return lambda *arguments: context.copy().run(function, *arguments)


def headers():
    """What tells a server which span it is asked in (W3C Trace Context)."""
    open_span = _current.get()
    return {"traceparent": f"00-{open_span['traceId']}-{open_span['spanId']}-01"} if open_span else {}


@atexit.register
def _export():
    if not ENDPOINT or not _ended:
        return
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "example"}}]}
    scopes = [{"scope": {"name": "examples.tracing"}, "spans": _ended}]
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}).encode()
    url = ENDPOINT.rstrip("/") + "/v1/traces"
    with contextlib.suppress(OSError):
        urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"}), timeout=5).close()
