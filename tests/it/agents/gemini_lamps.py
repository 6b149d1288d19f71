"""The lamp agent for Gemini, on sockets and JSON alone. The API gives calls no ids: it makes them up, as clients do.

STREAM: 0, 1 (events), list (a JSON list); MODELS: the models of the calls, in order. The argument is the task.
"""

import http.client
import json
import os
import sys
import uuid
from urllib.parse import urlsplit

VERB = {"0": "generateContent", "1": "streamGenerateContent?alt=sse", "list": "streamGenerateContent"}
STREAM = os.environ.get("STREAM", "0")
MODELS = os.environ.get("MODELS", "gemini-2.5-flash").split()
TOOLS = {
    "look": lambda item: {"item": item, "stock": 3},
    "price": lambda item: {"item": item, "eur": 20},
}


def ask(contents):
    base = urlsplit(os.environ["GOOGLE_GEMINI_BASE_URL"])
    body = {
        "contents": contents,
        "systemInstruction": {"parts": [{"text": "You sell lamps."}]},
        "tools": [{"functionDeclarations": [{"name": name} for name in TOOLS]}],
        "generationConfig": {"temperature": 1},
    }
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    path = f"{base.path}/v1beta/models/{MODELS[min(len(contents) // 2, len(MODELS) - 1)]}:{VERB[STREAM]}"
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode()
    if response.status != 200:
        sys.exit(f"failed {response.status} {json.loads(text)['error']['message']}")
    chunks = [json.loads(text)] if STREAM == "0" else json.loads(text) if STREAM == "list" else [
        json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")
    ]
    return [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]


contents = [{"role": "user", "parts": [{"text": sys.argv[1]}]}]
while True:
    parts = ask(contents)
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    for call in calls:
        call.setdefault("id", uuid.uuid4().hex)
    contents.append({"role": "model", "parts": parts})
    if not calls:
        print("".join(part["text"] for part in parts), flush=True)
        break
    results = [{"id": c["id"], "name": c["name"], "response": TOOLS[c["name"]](**c["args"])} for c in calls]
    contents.append({"role": "user", "parts": [{"functionResponse": result} for result in results]})
