"""Asks a model once and exports a span about it, as an instrumented agent does; prints what it was answered."""

import json
import os
import urllib.error
import urllib.request


def post(url, value):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


ask = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
print("model:", post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", ask))
span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "chat small"}
exported = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
print("export:", post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces", exported))
