"""Asks a tool over HTTP, then a model at a fixed TLS address. With PINNED it trusts that one certificate alone."""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request

tool, model = sys.argv[1], sys.argv[2]
pinned = os.environ.get("PINNED")
context = ssl.create_default_context(cafile=pinned)
if pinned:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pinned)


def get(url, body=None):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, context=context if url.startswith("https") else None) as answer:
        return json.load(answer)


stock = get(tool + "/stock?item=gadget")
ask = {"model": "m", "messages": [{"role": "user", "content": "%d left" % stock["qty"]}]}
for attempt in range(2):
    try:
        print(get(model + "/v1/chat/completions", ask)["choices"][0]["message"]["content"])
        break
    except urllib.error.URLError as error:
        print("failed:", error, file=sys.stderr)
else:
    sys.exit(1)
