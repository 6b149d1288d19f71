"""Works on a task with tools, on the standard library alone.

TASK: the task (else standard input). CLOCK=1: says the time in its prompt. DICE=1: says a number that it made up. TRACE=1: a tool gives another id each time.
COLOUR: goes into the prompt. ROUNDS: gives up after so many answers. LEAVE: its exit code. Tools that ran are in ran.txt.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

task = os.environ.get("TASK") or sys.stdin.read()
if os.environ.get("CLOCK"):
    task += " It is %d." % time.time_ns()
if os.environ.get("DICE"):
    task += " Take %d." % (time.time_ns() // 1000 % 1000000)
if os.environ.get("COLOUR"):
    task += " Think " + os.environ["COLOUR"] + "."
print("in", os.path.basename(os.getcwd()), flush=True)


def work(name, args):
    with open("ran.txt", "a") as ran:
        ran.write(name + "\n")
    if name == "lookup_order":
        return {"amount": 4999, "sku": "LAP-1"}
    if name == "check_fraud":
        return {"risk": "low", "trace": uuid.uuid4().hex if os.environ.get("TRACE") else "t"}
    if name == "issue_refund":
        return {"ok": True, "refunded": args["amount_usd"]}
    return {"ok": True}


messages = [{"role": "system", "content": "You handle refunds."}, {"role": "user", "content": task}]
tools = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"]
]
for _ in range(int(os.environ.get("ROUNDS", "20"))):
    body = json.dumps({"model": "small", "messages": messages, "tools": tools})
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        body.encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
    )
    try:
        with urllib.request.urlopen(request) as response:
            message = json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        print("error", error.code)
        sys.exit(7)
    messages.append(message)
    if not message.get("tool_calls"):
        print(message["content"])
        break
    for call in message["tool_calls"]:
        result = work(call["function"]["name"], json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
sys.exit(int(os.environ.get("LEAVE", "0")))
