"""Asks for what stands in a file of another tool, and compares the answers with those in the file.

    asker.py KIND FILE [NUMBER]

It reads the file by itself (with PyYAML and the standard library), so that two readers must agree. NUMBER, from 1, is the
recording of a file that has many. Requests are sent one after the other: to the base URL of a provider where the environment has
one, else through the forward proxy. The last line on standard output is JSON: how many were asked, how many answers had the same bytes.
"""
import base64
import http.client
import json
import os
import ssl
import sys
import zlib
from urllib.parse import urlsplit

# Where base URLs lead to providers that have one.
VARIABLES = {
    "api.openai.com": "OPENAI_BASE_URL", "api.anthropic.com": "ANTHROPIC_BASE_URL",
    "generativelanguage.googleapis.com": "GOOGLE_GEMINI_BASE_URL", "api.groq.com": "GROQ_BASE_URL",
    "api.mistral.ai": "MISTRAL_BASE_URL", "openrouter.ai": "OPENROUTER_API_BASE", "api.deepseek.com": "DEEPSEEK_API_BASE",
    "api.together.xyz": "TOGETHER_BASE_URL", "api.fireworks.ai": "FIREWORKS_API_BASE", "api.cerebras.ai": "CEREBRAS_BASE_URL",
    "api.x.ai": "XAI_API_BASE", "127.0.0.1:11434": "OLLAMA_HOST",
}


def as_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def read_vcr(path):
    import yaml

    with open(path, encoding="utf-8") as file:
        cassette = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def side(of):
        if of.get("parsed_body") is not None:
            return None, of["parsed_body"]
        body = of.get("body")
        if isinstance(body, dict):
            if body.get("base64_string") is not None:
                return base64.b64decode(as_bytes(body["base64_string"])), None
            body = body.get("string")
        return (b"" if body is None else as_bytes(body)), None

    for one in cassette["interactions"]:
        asked, answered = one["request"], one["response"]
        body, parsed = side(asked)
        headers = {}
        for name, values in (asked.get("headers") or {}).items():
            for value in values if isinstance(values, list) else [values]:
                headers[name] = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        yield (asked["method"], as_bytes(asked["uri"]).decode(), headers,
               json.dumps(parsed).encode() if body is None else body,
               answered["status"]["code"], *side(answered))


def read_har(path):
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)["log"]["entries"]

    def side(of):
        text = of.get("text") or ""
        return base64.b64decode(text) if of.get("encoding") == "base64" else text.encode()

    for one in entries:
        asked, answered = one["request"], one["response"]
        headers = {h["name"]: h["value"] for h in asked["headers"] if not h["name"].startswith(":")}
        yield (asked["method"], asked["url"], headers, side(asked.get("postData") or {}), answered["status"],
               side(answered["content"]), None)


def tnetstring(data, at=0):
    colon = data.index(b":", at)
    begin, end = colon + 1, colon + 1 + int(data[at:colon])
    kind, text = data[end:end + 1], data[begin:end]
    if kind in b"]}":
        values, at = [], begin
        while at < end:
            value, at = tnetstring(data, at)
            values.append(value)
        return (dict(zip(values[::2], values[1::2])) if kind == b"}" else values), end + 1
    read = {b",": bytes, b";": bytes, b"#": int, b"^": float, b"~": lambda _: None, b"!": lambda t: t == b"true"}
    return read[kind](text), end + 1


def read_mitmproxy(path):
    with open(path, "rb") as file:
        data = file.read()
    at, flows = 0, []
    while at < len(data):
        flow, at = tnetstring(data, at)
        flows.append(flow)
    for flow in sorted(flows, key=lambda flow: flow[b"request"][b"timestamp_start"]):
        asked, answered = flow[b"request"], flow[b"response"]
        host = (asked[b"authority"] or asked[b"host"] + b":%d" % asked[b"port"]).decode()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in asked[b"headers"]}
        yield (asked[b"method"].decode(), f"{asked[b'scheme'].decode()}://{host}{asked[b'path'].decode()}", headers,
               asked[b"content"], answered[b"status_code"], answered[b"content"], None)


def read_llama_stack(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            one = json.loads(line)
            asked, body = one["request"], one["response"]["body"]
            url, is_ollama = asked["url"].replace("/v1/v1/", "/v1/"), "/api/" in asked["url"]
            if "messages" in asked["body"]:
                url = url.replace("/v1/completions", "/v1/chat/completions")
            if "EmbedResponse" in json.dumps(body)[:200]:
                url = url.replace("/api/embeddings", "/api/embed")
            parts = [part["__data__"] for part in (body if isinstance(body, list) else [body])]
            if not one["response"]["is_streaming"]:
                expected = (None, parts[0])
            elif is_ollama:
                expected = (None, parts)
            else:
                expected = (None, [*parts, "[DONE]"])
            yield (asked["method"], url, {"Content-Type": "application/json"}, json.dumps(asked["body"]).encode(), 200,
                   *expected)


READERS = {"vcr": read_vcr, "har": read_har, "mitmproxy": read_mitmproxy, "llama-stack": read_llama_stack}


def decoded(headers, body):
    coding = (headers.get("content-encoding") or "").lower()
    return zlib.decompress(body, 47) if coding in ("gzip", "deflate") else body


def parsed(headers, body):
    """What a body means, for files that keep the meaning alone."""
    kind = (headers.get("content-type") or "").split(";")[0]
    text = body.decode()
    if kind == "text/event-stream":
        data = [line[len("data: "):] for line in text.split("\n") if line.startswith("data: ")]
        return [one if one == "[DONE]" else json.loads(one) for one in data]
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def connection(url):
    """A connection, and the target there."""
    there = urlsplit(url)
    target = (there.path or "/") + (f"?{there.query}" if there.query else "")
    host = there.netloc.replace("localhost", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
    variable = VARIABLES.get(host.removesuffix(":443"))
    if variable and os.environ.get(variable):
        proxy = urlsplit(os.environ[variable])
        return http.client.HTTPConnection(proxy.netloc, timeout=60), "/" + proxy.path.split("/")[1] + target
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    if there.scheme == "http":
        return http.client.HTTPConnection(proxy.netloc, timeout=60), f"http://{there.netloc}{target}"
    trust = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
    made = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=60, context=trust)
    made.set_tunnel(there.hostname, there.port or 443)
    return made, target


def main():
    kind, path = sys.argv[1:3]
    told = list(READERS[kind](path))
    if len(sys.argv) > 3:
        told = told[int(sys.argv[3]) - 1:][:1]
    equal, other = 0, []
    for number, (method, url, headers, body, status, answer, meaning) in enumerate(told, 1):
        drop = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "content-encoding"}
        headers = {name: value for name, value in headers.items() if name.lower() not in drop}
        made, target = connection(url)
        try:
            made.request(method, target, body or None, headers)
            response = made.getresponse()
            got = response.read()
            if meaning is not None:
                same = response.status == status and parsed(response.headers, got) == meaning
            else:
                same = response.status == status and (got == answer or decoded(response.headers, got) == answer)
            if same:
                equal += 1
            else:
                wanted = f"{status} {answer[:200] if answer is not None else meaning!r:.200}"
                other.append(f"{number}: {response.status} {got[:300]!r} instead of {wanted}")
        except Exception as error:
            other.append(f"{number}: {type(error).__name__}: {error}")
        finally:
            made.close()
    print(json.dumps({"asked": len(told), "equal": equal, "other": other}))
    return 0 if equal == len(told) else 1


sys.exit(main())
