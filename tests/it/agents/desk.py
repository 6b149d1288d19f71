"""A desk with tickets, on the standard library alone (Anthropic Messages).

PROMPT: the task. TICKETS: the ids that its tool hands out, separated by commas; without it they are made up. COUNTS: how
often it has its tokens counted. TITLES: how often it asks for a title, beside the task.
"""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
import uuid

given = [t for t in os.environ.get("TICKETS", "").split(",") if t]
known = set()


def post(path, body):
    request = urllib.request.Request(
        os.environ["ANTHROPIC_BASE_URL"] + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def ask(messages, **more):
    return post("/v1/messages", {"model": "claude-small", "max_tokens": 99, "messages": messages, **more})["content"]


def count(messages):
    for _ in range(int(os.environ.get("COUNTS", "0"))):
        try:
            print("tokens", post("/v1/messages/count_tokens", {"model": "claude-small", "messages": messages})["input_tokens"])
        except urllib.error.HTTPError as error:
            print("no count:", error.code)


def title():
    try:
        print("title", ask([{"role": "user", "content": "A title for: " + os.environ["PROMPT"]}])[0]["text"])
    except urllib.error.HTTPError as error:
        print("no title:", error.code)


def work(name, args):
    if name == "Open":
        ticket = given.pop(0) if given else str(uuid.uuid4())
        known.add(ticket)
        return "Opened " + ticket
    if args["id"] not in known:
        print("unknown ticket:", args["id"])
        sys.exit(9)
    known.discard(args["id"])
    return "Closed."


titles = [threading.Thread(target=title) for _ in range(int(os.environ.get("TITLES", "0")))]
for thread in titles:
    thread.start()
tools = [{"name": name, "input_schema": {"type": "object"}} for name in ["Open", "Close"]]
messages = [{"role": "user", "content": os.environ["PROMPT"]}]
while True:
    count(messages)
    try:
        blocks = ask(messages, tools=tools)
    except urllib.error.HTTPError as error:
        print("error", error.code, error.read().decode())
        sys.exit(7)
    messages.append({"role": "assistant", "content": blocks})
    results = [
        {"type": "tool_result", "tool_use_id": b["id"], "content": work(b["name"], b["input"])}
        for b in blocks if b["type"] == "tool_use"
    ]
    if not results:
        break
    messages.append({"role": "user", "content": results})
for thread in titles:
    thread.join()
print(blocks[-1]["text"])
