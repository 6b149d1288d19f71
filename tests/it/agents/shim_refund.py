"""A refund agent whose tools are functions of its own, wrapped by the tool shim. Every one that runs is noted in ran.log.
RAISES names one that raises; ARGUMENT adds to what lookup_order is asked."""

import asyncio
import json
import os
import sys
import urllib.request

from retake_tool import Refused, tool


def ran(name):
    with open("ran.log", "a") as log:
        log.write(name + "\n")
    if os.environ.get("RAISES") == name:
        raise LookupError("no such %s" % name, 17)


@tool
def lookup_order(order_id):
    ran("lookup_order")
    return {"amount": 4999, "currency": "USD", "sku": "LAP-1", "customer_id": "c9"}


@tool
def get_policy(sku):
    ran("get_policy")
    return {"refundable": True, "window_days": 30}


@tool
async def get_customer(customer_id):
    ran("get_customer")
    await asyncio.sleep(0)
    return {"id": "c9", "name": "Ada"}


@tool(name="check_fraud")
def check(order_id, amount):
    ran("check_fraud")
    return {"risk": "low", "trace": os.urandom(8).hex()}


@tool
def issue_refund(order_id, amount_usd):
    ran("issue_refund")
    return {"ok": True, "refunded": amount_usd}


TOOLS = {"lookup_order": lookup_order, "get_policy": get_policy, "check_fraud": check, "issue_refund": issue_refund}
TOOLS["get_customer"] = lambda customer_id: asyncio.run(get_customer(customer_id))


def ask(messages):
    offered = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]
    body = json.dumps({"model": "gpt-small", "messages": messages, "tools": offered}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "none")}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


messages = [{"role": "user", "content": "My laptop from order A123 is broken, refund me"}]
while True:
    answer = ask(messages)
    messages.append(answer)
    if not answer.get("tool_calls"):
        print(answer["content"])
        break
    for call in answer["tool_calls"]:
        arguments = json.loads(call["function"]["arguments"])
        if "ARGUMENT" in os.environ and "order_id" in arguments:
            arguments["order_id"] += os.environ["ARGUMENT"]
        try:
            result = TOOLS[call["function"]["name"]](**arguments)
        except LookupError as error:
            result = {"raised": [type(error).__name__, *error.args]}
            print("raised", type(error).__name__, error.args)
        except Refused as error:
            print("refused:", error, file=sys.stderr)
            sys.exit(6)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
