"""A refund agent on nothing but the standard library. SYSTEM is its prompt; STOP_AFTER ends it after so many model
calls; every tool that runs is noted in ran.log."""

import json
import os
import sys
import urllib.error
import urllib.request

TOOLS = {
    "lookup_order": lambda order_id: {"amount": 4999, "currency": "USD", "sku": "LAP-1", "customer_id": "c9"},
    "get_policy": lambda sku: {"refundable": True, "window_days": 30},
    "get_customer": lambda customer_id: {"id": "c9", "name": "Ada"},
    "check_fraud": lambda order_id, amount: {"risk": "low", "score": 0.07},
    "issue_refund": lambda order_id, amount_usd: {"ok": True, "refunded": amount_usd},
    "never_called": lambda: {},
}
SCHEMAS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]


def ask(messages):
    body = {"model": "gpt-small", "messages": messages, "tools": SCHEMAS}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "none")},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        print("error", error.code, error.read().decode(), file=sys.stderr)
        sys.exit(7)


messages = [
    {"role": "system", "content": os.environ.get("SYSTEM", "You handle refunds.")},
    {"role": "user", "content": "My laptop from order A123 is broken, refund me"},
]
for _ in range(int(os.environ.get("STOP_AFTER", "99"))):
    answer = ask(messages)
    messages.append(answer)
    if not answer.get("tool_calls"):
        print(answer["content"])
        break
    for call in answer["tool_calls"]:
        name = call["function"]["name"]
        with open("ran.log", "a") as log:
            log.write(name + "\n")
        result = TOOLS[name](**json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
