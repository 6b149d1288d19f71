"""Both ends of batches of the Model Context Protocol (2025-03-26), on stdio.

    mcp_batch.py serve         a server with one tool, whose stock is another each time it is asked
    mcp_batch.py ask COMMAND…  asks the server that COMMAND is for two things in a batch, and prints them; SINGLY asks one
                               by one, ITEM is the second thing, AGAIN asks for all once more
"""

import json
import os
import random
import subprocess
import sys


def answered(message):
    if "id" not in message:
        return None
    method, result = message["method"], {}
    if method == "initialize":
        result = {"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "serverInfo": {"name": "stock"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "stock", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]}
    elif method == "tools/call":
        item = message["params"]["arguments"]["item"]
        with open("ran.log", "a") as log:
            log.write(item + "\n")
        result = {"content": [{"type": "text", "text": "%s: %d left" % (item, random.randrange(10**6))}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def serve():
    for line in sys.stdin:
        asked = json.loads(line)
        told = [answered(message) for message in asked if "id" in message] if isinstance(asked, list) else answered(asked)
        if told:
            print(json.dumps(told), flush=True)


class Client:
    def __init__(self):
        self.server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.last = random.randrange(1000)

    def say(self, messages):
        body = [{"jsonrpc": "2.0", **message} for message in messages]
        self.server.stdin.write(json.dumps(body if len(body) > 1 else body[0]) + "\n")
        self.server.stdin.flush()

    def ask(self, *asked):
        ids = []
        for message in asked:
            self.last += 1
            ids.append(self.last)
            message["id"] = self.last
        self.say(asked)
        told = {}
        while len(told) < len(ids):
            line = json.loads(self.server.stdout.readline())
            for message in line if isinstance(line, list) else [line]:
                told[message["id"]] = message
        assert set(told) == set(ids), (told, ids)
        return [told[id] for id in ids]


def call(item):
    return {"method": "tools/call", "params": {"name": "stock", "arguments": {"item": item}}}


def ask():
    client = Client()
    client.ask({"method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}})
    client.say([{"method": "notifications/initialized"}, {"method": "notifications/roots/list_changed"}])
    for _ in range(2 if "AGAIN" in os.environ else 1):
        asked = [call("gadget"), call(os.environ.get("ITEM", "widget"))]
        told = [client.ask(one)[0] for one in asked] if "SINGLY" in os.environ else client.ask(*asked)
        for message in told:
            if "error" in message:
                print("error", message["error"]["message"], file=sys.stderr)
                sys.exit(6)
            print(message["result"]["content"][0]["text"])
    print(len(client.ask({"method": "tools/list"})[0]["result"]["tools"]), "tool")
    client.server.stdin.close()
    client.server.wait()


ask() if sys.argv[1] == "ask" else serve()
