"""A small agent on sockets and JSON alone, in both dialects: a tool loop, or the same loop in three threads and a join.

PROVIDER: openai, anthropic; STREAM: 0, 1; THINK: 1 asks for reasoning; TRIES: how often a call is tried; SEED: shuffles
the arrival of the threads. The argument is the task; `lanes` asks for threads.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
from urllib.parse import urlsplit

from answers import blocks_of, message_of

ANTHROPIC = os.environ.get("PROVIDER") == "anthropic"
STREAM = os.environ.get("STREAM") == "1"
TOOLS = {
    "look": lambda item: {"item": item, "stock": 3},
    "price": lambda item: {"item": item, "eur": 20},
    "order": lambda item: {"ordered": item},
}


def post(body):
    base = urlsplit(os.environ["ANTHROPIC_BASE_URL" if ANTHROPIC else "OPENAI_BASE_URL"])
    path = base.path + ("/v1/messages" if ANTHROPIC else "/chat/completions")
    if STREAM:
        body["stream"] = True
    why = ""
    for _ in range(int(os.environ.get("TRIES", "1"))):
        connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            why = type(error).__name__
            continue
        if response.status == 200:
            return text
        why = f"{response.status} {text}"
    sys.stdout.flush()
    os._exit(print("failed", why, flush=True) or 9)


def openai(messages):
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in TOOLS]
    message = message_of(post({"model": "small", "messages": messages, "tools": tools}), STREAM)
    messages.append(message)
    calls = message.get("tool_calls") or []
    for call in calls:
        result = TOOLS[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
    return None if calls else message["content"]


def anthropic(messages):
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS]
    body = {"model": "claude-small", "max_tokens": 4000, "system": messages[0], "messages": messages[1:], "tools": tools}
    if os.environ.get("THINK") == "1":
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    blocks = blocks_of(post(body), STREAM)
    messages.append({"role": "assistant", "content": blocks})
    results = [
        {"type": "tool_result", "tool_use_id": b["id"], "content": json.dumps(TOOLS[b["name"]](**b["input"]))}
        for b in blocks if b["type"] == "tool_use"
    ]
    if results:
        messages.append({"role": "user", "content": results})
        return None
    return "".join(b["text"] for b in blocks if b["type"] == "text")


def loop(task):
    system = "You sell lamps."
    messages = [system if ANTHROPIC else {"role": "system", "content": system}, {"role": "user", "content": task}]
    while True:
        answer = anthropic(messages) if ANTHROPIC else openai(messages)
        if answer is not None:
            return answer


def lanes():
    items = ["desk", "floor", "wall"]
    order, found = list(range(3)), [""] * 3
    random.Random(int(os.environ.get("SEED", "0"))).shuffle(order)

    def branch(nth):
        time.sleep(0.05 * order[nth])
        found[nth] = loop(f"Look for one: {items[nth]}")

    threads = [threading.Thread(target=branch, args=(nth,)) for nth in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return loop("Sum up: " + " | ".join(found))


print(lanes() if sys.argv[1] == "lanes" else loop(sys.argv[1]), flush=True)
