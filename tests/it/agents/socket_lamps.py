"""The lamp agent over a WebSocket, as Codex does it: warms up, then sends what is new and names the answer it goes on from.

TASK; LAMPS: where to ask, whatever the SDK's variable says; KILLS=1: kills its parent when it
has its answer; LEAVES=1: lets go of the connection without closing it; FALLS_BACK=1: asks by HTTP where it gets no WebSocket.
"""

import http.client
import json
import os
import signal
import sys
import uuid
from urllib.parse import urlsplit

from sockets import Closed, Refused, Socket

BASE = os.environ.get("LAMPS") or os.environ["OPENAI_BASE_URL"]
TASK = os.environ.get("TASK", "Look for: desk")
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]


def request(items, before=None, **more):
    named = {"previous_response_id": before} if before else {}
    who = {"session": str(uuid.uuid4())}
    return {"model": "m", "instructions": "You sell lamps.", "store": False, "tools": TOOLS, **named, "input": items,
            "client_metadata": who, **more}


def ask_socket(socket, body):
    socket.send(json.dumps({"type": "response.create", **body}))
    while True:
        event = json.loads(socket.receive())
        if event["type"] == "error":
            sys.exit(f"failed {event['status']} {event['error']['message']}")
        if event["type"] == "response.completed":
            return event["response"]


def ask_http(body):
    base = urlsplit(BASE)
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    connection.request("POST", f"{base.path}/responses", json.dumps({**body, "stream": True}), {"content-type": "application/json"})
    response = connection.getresponse()
    lines = response.read().decode().splitlines()
    if response.status != 200:
        sys.exit(f"failed {response.status}")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")][-1]["response"]


def main():
    history = [{"type": "message", "role": "user", "content": TASK}]
    try:
        socket = Socket(BASE.replace("http", "ws", 1) + "/responses", {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}"})
    except Refused as refused:
        if "FALLS_BACK" not in os.environ:
            raise
        print(f"refused {refused.status}", file=sys.stderr)
        ask, before = lambda items, named: ask_http(request(items)), None
    else:
        before = ask_socket(socket, request([], generate=False))["id"]
        ask = lambda items, named: ask_socket(socket, request(items[sent:], named))
    sent = 0
    while True:
        answer = ask(history, before)
        before = answer["id"]
        sent = len(history) + len(answer["output"])
        history = history + answer["output"]
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        if not calls:
            if "KILLS" in os.environ:
                os.kill(os.getppid(), signal.SIGKILL)
            print(answer["output"][0]["content"][0]["text"])
            break
        for call in calls:
            result = json.dumps({"item": json.loads(call["arguments"])["item"], "stock": 3})
            history.append({"type": "function_call_output", "call_id": call["call_id"], "output": result})
    if "LEAVES" not in os.environ and "socket" in dir():
        socket.close()


try:
    main()
except Closed as closed:
    sys.exit(str(closed))
