"""The lamp agent for Ollama, on sockets and JSON alone. Calls have no ids, and a stream is read up to the line that says
it is done.

STREAM: 0 or 1; EMBED: texts to embed first, one call each, in the order of ORDER (a seed for a shuffle; none: as they
are). The argument is the task.
"""

import http.client
import json
import os
import random
import sys
from urllib.parse import urlsplit

STREAM = os.environ.get("STREAM", "1") == "1"
TOOLS = {
    "look": lambda item: {"item": item, "stock": 3},
    "price": lambda item: {"item": item, "eur": 20},
}
HOST = os.environ["OLLAMA_HOST"]


def post(path, body):
    base = urlsplit(HOST if "://" in HOST else f"http://{HOST}")
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    connection.request("POST", base.path + path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"failed {response.status} {json.loads(response.read())['error']}")
    return connection, response


def ask(messages):
    body = {
        "model": os.environ.get("MODEL", "qwen3"),
        "messages": messages,
        "tools": [{"type": "function", "function": {"name": name}} for name in TOOLS],
        "options": {"temperature": 1},
    }
    if not STREAM:
        body["stream"] = False
    connection, response = post("/api/chat", body)
    said = {"role": "assistant", "content": ""}
    for line in response:
        chunk = json.loads(line)
        if "error" in chunk:
            sys.exit(f"failed in the stream: {chunk['error']}")
        said["content"] += chunk["message"].get("content") or ""
        calls = chunk["message"].get("tool_calls")
        if calls:
            said.setdefault("tool_calls", []).extend(calls)
        if chunk["done"]:
            break
    connection.close()
    return said


texts = os.environ.get("EMBED", "").split()
if os.environ.get("ORDER"):
    random.Random(os.environ["ORDER"]).shuffle(texts)
vectors = {}
for text in texts:
    connection, response = post("/api/embed", {"model": "all-minilm", "input": text})
    vector = json.loads(response.read())["embeddings"][0]
    assert vectors.setdefault(text, vector) == vector, "one text, one vector"
    connection.close()

messages = [{"role": "system", "content": "You sell lamps."}, {"role": "user", "content": sys.argv[1]}]
while True:
    said = ask(messages)
    messages.append(said)
    if not said.get("tool_calls"):
        print(said["content"], flush=True)
        break
    for call in said["tool_calls"]:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        messages.append({"role": "tool", "content": json.dumps(TOOLS[name](**arguments)), "tool_name": name})
