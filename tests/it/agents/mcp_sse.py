"""The older transport of the Model Context Protocol (2024-11-05): an event stream, and posts that are answered on it.

    mcp_sse.py serve PORT COMMAND…   a server that starts COMMAND, which speaks on stdio, for every session; prints its port, and
                                ends when its input does
    mcp_sse.py carry URL        the client's end: lines in, posts out, and lines of what comes on the stream
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSIONS = {}


class Server(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path != "/sse":
            return self.send_error(404)
        session = uuid.uuid4().hex
        tools = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        SESSIONS[session] = tools
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.tell("event: endpoint\r\ndata: /messages/?session_id=%s\r\n\r\n: ping - now\r\n\r\n" % session)
        for line in tools.stdout:
            self.tell("event: message\r\ndata: %s\r\n\r\n" % line.strip())

    def tell(self, text):
        self.wfile.write(text.encode())
        self.wfile.flush()

    def do_POST(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        tools = SESSIONS.get(query.get("session_id", [""])[0])
        if tools is None:
            return self.send_error(404, "no such session")
        tools.stdin.write(body + "\n")
        tools.stdin.flush()
        self.send_response(202)
        self.send_header("content-length", "8")
        self.end_headers()
        self.wfile.write(b"Accepted")


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    for tools in SESSIONS.values():
        tools.kill()
    os._exit(0)


def hear(stream, found, opened):
    name = None
    for line in stream:
        text = line.decode().rstrip("\r\n")
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: ") and name == "endpoint":
            found.append(text[6:])
            opened.set()
        elif text.startswith("data: "):
            print(text[6:], flush=True)
        elif text.startswith(": ping"):
            print("heard", text, file=sys.stderr)
    # A server that is gone is one whose pipe is closed.
    os._exit(0)


def carry(url):
    found, opened = [], threading.Event()
    stream = urllib.request.urlopen(urllib.request.Request(url, headers={"accept": "text/event-stream"}))
    threading.Thread(target=hear, args=(stream, found, opened), daemon=True).start()
    if not opened.wait(10):
        sys.exit("no endpoint")
    to = urllib.parse.urljoin(url, found[0])
    for line in sys.stdin:
        request = urllib.request.Request(to, line.strip().encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert (response.status, response.read()) in ((202, b"Accepted"), (202, b"")), response.status


carry(sys.argv[2]) if sys.argv[1] == "carry" else serve()
