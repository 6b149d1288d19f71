"""Keeps notes in its working directory, on the standard library alone (OpenAI chat). Its prompt, its calls and its results
are full of where and when it runs; tickets are made up.
"""

import json
import os
import re
import sys
import tempfile
import time
import urllib.request
import uuid

known = set()


def read(path):
    with open(path) as file:
        return {"path": path, "text": file.read(), "read": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def open_ticket():
    ticket = str(uuid.uuid4())
    known.add(ticket)
    return {"ticket": ticket, "log": {os.path.join(tempfile.gettempdir(), "tickets.log"): len(known)}}


def close(id):
    if id not in known:
        sys.exit("unknown ticket: " + id)
    known.discard(id)
    return "closed " + id


tools = {"Read": read, "Open": open_ticket, "Close": close}
slug = re.sub("[^A-Za-z0-9]", "-", os.getcwd())
system = f"You work in {os.getcwd()}.\nMemory: {os.environ['HOME']}/.keeper/{slug}/memory"
messages = [{"role": "system", "content": system}, {"role": "user", "content": os.environ.get("TASK", "Look.")}]
while True:
    body = {"model": "small", "messages": messages, "tools": [{"type": "function", "function": {"name": n}} for n in tools]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
    )
    with urllib.request.urlopen(request) as response:
        message = json.load(response)["choices"][0]["message"]
    messages.append(message)
    if not message.get("tool_calls"):
        break
    for call in message["tool_calls"]:
        result = tools[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
        result = result if isinstance(result, str) else json.dumps(result)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
print(messages[-1]["content"])
