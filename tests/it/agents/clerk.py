"""A clerk whose tools say how busy it is, make ids, and quote what the model has just said. `ran.log` lists what ran.

The argument is the task. MAIL: 1 sends a mail before the last question.
"""

import json
import os
import sys
import time
import urllib.request
import uuid

said = ""
made = []


def make_id():
    made.append(str(uuid.uuid4()))
    return {"id": made[-1]}


TOOLS = {
    "look": lambda: {"amount": 10},
    "lookup_load": lambda: {"load": "queue of %d" % (time.time_ns() % 1000000007), "of": (made or [None])[-1]},
    "make_id": make_id,
    "quote": lambda: {"said": said},
    "send_mail": lambda: {"sent": True},
}


def ask(messages):
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in TOOLS]
    body = json.dumps({"model": "small", "messages": messages, "tools": tools}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


messages = [{"role": "user", "content": sys.argv[1]}]
while True:
    message = ask(messages)
    messages.append(message)
    said = message.get("content") or ""
    if not message.get("tool_calls"):
        break
    for call in message["tool_calls"]:
        name = call["function"]["name"]
        with open("ran.log", "a") as log:
            log.write(name + "\n")
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(TOOLS[name]())})
print(said, flush=True)
