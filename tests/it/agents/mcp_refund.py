"""A refund agent whose tools come from a server of the Model Context Protocol: the words after its own are the server's
command. The server gets few variables, as those that the official clients start. ARGUMENT adds to what lookup_order is
asked; SAYS is what it answers when the server asks the person."""

import json
import os
import random
import subprocess
import sys
import urllib.error
import urllib.request

kept = ("HOME", "PATH", "TMPDIR", "LC_ALL", "DIES", "STATELESS", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY")
environment = {name: os.environ[name] for name in kept if name in os.environ}
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
stateless = "STATELESS" in os.environ
asked, heard = random.randrange(1000), []


def send(message):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    server.stdin.flush()


def receive():
    line = server.stdout.readline()
    if not line:
        print("the server ended", file=sys.stderr)
        sys.exit(8)
    return json.loads(line)


def ask_server(method, params):
    global asked
    asked += 1
    send({"id": asked, "method": method, "params": params})
    while True:
        message = receive()
        if message.get("method") == "elicitation/create":
            send({"id": message["id"], "result": {"action": os.environ.get("SAYS", "accept"), "content": {}}})
        elif "method" in message:
            heard.append(message["method"])
            token = message["params"].get("progressToken", asked)
            assert token == asked, (message, asked)
        else:
            assert message["id"] == asked, (message, asked)
            if "error" in message:
                print("error", message["error"], file=sys.stderr)
                sys.exit(6)
            return message["result"]


def ask_model(messages):
    body = {"model": "gpt-small", "messages": messages, "tools": tools}
    headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "none")}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        print("error", error.code, error.read().decode(), file=sys.stderr)
        sys.exit(7)


if stateless:
    ask_server("server/discover", {"_meta": {"io.modelcontextprotocol/clientInfo": {"name": "test"}}})
else:
    ask_server("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
    send({"method": "notifications/initialized"})
    heard.append(receive()["method"])
listed = ask_server("tools/list", {})["tools"]
tools = [{"type": "function", "function": {"name": "shop__" + tool["name"], "parameters": tool["inputSchema"]}} for tool in listed]
messages = [
    {"role": "system", "content": os.environ.get("SYSTEM", "You handle refunds.")},
    {"role": "user", "content": "My laptop from order A123 is broken, refund me"},
]
while True:
    answer = ask_model(messages)
    messages.append(answer)
    if not answer.get("tool_calls"):
        print(answer["content"])
        break
    for call in answer["tool_calls"]:
        arguments = json.loads(call["function"]["arguments"])
        if "ARGUMENT" in os.environ and "order_id" in arguments:
            arguments["order_id"] += os.environ["ARGUMENT"]
        name = call["function"]["name"].removeprefix("shop__")
        meta = {"progressToken": asked + 1, "callId": call["id"]}
        result = ask_server("tools/call", {"name": name, "arguments": arguments, "_meta": meta})
        text = "".join(part["text"] for part in result["content"])
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
server.stdin.close()
print("heard", len(heard), "server ended", server.wait())
