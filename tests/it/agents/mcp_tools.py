"""The refund agent's tools as a stdio server of the Model Context Protocol. Every tool that runs is noted in ran.log.

It says something when it has been initialized, tells of progress, and asks the person before it checks for fraud. With
STATELESS it knows no session; DIES names a tool whose call ends it."""

import json
import os
import sys
import uuid

READ, DESTROY = {"readOnlyHint": True}, {"readOnlyHint": False, "destructiveHint": True}
TOOLS = {
    "lookup_order": (READ, lambda order_id: {"amount": 4999, "currency": "USD", "sku": "LAP-1", "customer_id": "c9"}),
    "get_policy": (READ, lambda sku: {"refundable": True, "window_days": 30}),
    "get_customer": (READ, lambda customer_id: {"id": "c9", "name": "Ada"}),
    "check_fraud": (None, lambda order_id, amount: {"risk": "low", "trace": str(uuid.uuid4())}),
    "issue_refund": (DESTROY, lambda order_id, amount_usd: {"ok": True, "refunded": amount_usd}),
}


def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def heard():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def call(request):
    name, arguments = request["params"]["name"], request["params"].get("arguments") or {}
    with open("ran.log", "a") as log:
        log.write(name + "\n")
    if os.environ.get("DIES") == name:
        print("out of memory", file=sys.stderr)
        sys.exit(9)
    token = (request["params"].get("_meta") or {}).get("progressToken")
    if token is not None:
        say({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    if name == "check_fraud" and "STATELESS" not in os.environ:
        say({"id": 0, "method": "elicitation/create", "params": {"message": "Check %s?" % arguments["order_id"]}})
        answer = heard()
        assert answer["id"] == 0, answer
        if answer["result"]["action"] != "accept":
            return {"content": [{"type": "text", "text": "not allowed"}], "isError": True}
    result = TOOLS[name][1](**arguments)
    return {"content": [{"type": "text", "text": json.dumps(result)}]}


while True:
    message = heard()
    method = message.get("method")
    if method == "notifications/initialized":
        say({"method": "notifications/message", "params": {"level": "info", "data": "the shop is open"}})
    elif "id" not in message:
        pass
    elif method in ("initialize", "server/discover"):
        capabilities = {"tools": {"listChanged": True}}
        result = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "shop", "version": "1"}}
        say({"id": message["id"], "result": result})
    elif method == "tools/list":
        tools = [
            {"name": name, "inputSchema": {"type": "object"}, **({"annotations": notes} if notes else {})}
            for name, (notes, _) in TOOLS.items()
        ]
        say({"id": message["id"], "result": {"tools": tools}})
    elif method == "tools/call":
        say({"id": message["id"], "result": call(message)})
    else:
        say({"id": message["id"], "error": {"code": -32601, "message": "no such method: %s" % method}})
