"""Both ends of the Model Context Protocol over HTTP, with sessions and event streams.

    mcp_http.py serve        a server with one tool; prints its port, and ends when its input does
    mcp_http.py ask URL      asks it twice and prints what it says
"""

import json
import os
import random
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self):
        self.answer(204)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, params = asked.get("method"), asked.get("params") or {}
        if method != "initialize" and self.headers.get("mcp-session-id") != SESSION:
            return self.answer(404, b"no such session")
        if "id" not in asked:
            return self.answer(202)
        events = []
        if method == "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "stock"}}
        elif method == "tools/list":
            result = {"tools": [{"name": "stock", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]}
        else:
            token = params["_meta"]["progressToken"]
            events.append({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
            left = random.randrange(10**6)
            result = {"content": [{"type": "text", "text": "%s: %d left" % (params["arguments"]["item"], left)}]}
        # The result comes first, as some servers write it.
        events.append({"result": result, "jsonrpc": "2.0", "id": asked["id"]})
        body = "".join("event: message\r\ndata: %s\r\n\r\n" % json.dumps(event) for event in events).encode()
        self.answer(200, body, content_type="text/event-stream", mcp_session_id=SESSION)


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


class Client:
    def __init__(self, url):
        self.url, self.session, self.last = url, None, random.randrange(1000)

    def send(self, message, method="POST"):
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self.session:
            headers["mcp-session-id"] = self.session
        body = json.dumps({"jsonrpc": "2.0", **message}).encode() if message else None
        request = urllib.request.Request(self.url, body, headers, method=method)
        with urllib.request.urlopen(request) as response:
            self.session = response.headers.get("mcp-session-id") or self.session
            text = response.read().decode()
        return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]

    def ask(self, method, **params):
        self.last += 1
        *told, answer = self.send({"id": self.last, "method": method, "params": params})
        assert answer["id"] == self.last, (answer, self.last)
        if "error" in answer:
            sys.exit(answer["error"]["message"])
        for message in told:
            assert message["params"]["progressToken"] == self.last, message
        return len(told), answer["result"]


def ask(url):
    client = Client(url)
    client.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"})
    client.send({"method": "notifications/initialized"})
    print(len(client.ask("tools/list")[1]["tools"]), "tool")
    for item in ("gadget", "gadget", os.environ.get("ITEM", "widget")):
        token = {"progressToken": client.last + 1}
        told, result = client.ask("tools/call", name="stock", arguments={"item": item}, _meta=token)
        print(told, result["content"][0]["text"])
    client.send(None, "DELETE")


SESSION = "%032x" % random.getrandbits(128)
ask(sys.argv[2]) if sys.argv[1] == "ask" else serve()
