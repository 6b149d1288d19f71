"""Asks a tool over HTTP, then a model at a fixed TLS address. With PINNED it trusts that one certificate alone.

With HANGS_UP=hello it first opens a connection to the model that it breaks off in the handshake. With HANGS_UP=shy it
leaves the model's certificate unread until the handshake is over, and goes away without a word. With TELEMETRY it tells
the model's host how it is, in other words each time.
"""

import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

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


def hang_up(shy):
    proxy, host = urlsplit(os.environ["HTTPS_PROXY"]), urlsplit(model)
    with socket.create_connection((proxy.hostname, proxy.port)) as line:
        line.sendall(b"CONNECT %s HTTP/1.1\r\n\r\n" % host.netloc.encode())
        line.recv(4096)
        careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        if shy:
            return careless.wrap_socket(line, server_hostname=host.hostname).close()
        sent = ssl.MemoryBIO()
        hello = careless.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host.hostname)
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            line.sendall(sent.read())
            line.recv(1)


if how := os.environ.get("HANGS_UP"):
    hang_up(how == "shy")
    if how == "shy":
        sys.exit(1)
if os.environ.get("TELEMETRY"):
    metrics = {"resourceMetrics": [{"at": os.urandom(8).hex()}]}
    body = json.dumps(metrics).encode()
    request = urllib.request.Request(model + "/otlp/v1/metrics", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, context=context) as answer:
        print("told:", answer.status, file=sys.stderr)
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
