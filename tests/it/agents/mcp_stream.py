"""Streamable HTTP of the Model Context Protocol, with sessions, in front of a server on stdio. Batches are answered as an
array; with STREAMED, on a stream.

    mcp_stream.py serve PORT COMMAND…   a server that starts COMMAND for every session, and knows no session but its own;
                                        prints its port, notes every introduction in met.log, ends when its input does
    mcp_stream.py carry URL             the client's end: lines in, posts out, and lines of what comes back
"""

import http.client
import json
import os
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSIONS = {}


class Session:
    def __init__(self):
        self.name = uuid.uuid4().hex
        self.tools = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.unasked, self.waiting = queue.Queue(), {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.tools.stdout:
            message = json.loads(line)
            to = self.waiting.get(message.get("id")) if "method" not in message else next(iter(self.waiting.values()), None)
            (to or self.unasked).put(line.strip())

    def say(self, message):
        self.tools.stdin.write(json.dumps(message) + "\n")
        self.tools.stdin.flush()

    def ask(self, message):
        heard = self.waiting[message["id"]] = queue.Queue()
        self.say(message)
        while True:
            line = heard.get(timeout=20)
            if "method" not in json.loads(line):
                del self.waiting[message["id"]]
                return (yield line)
            yield line


class Server(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def head(self, status, session=None, length=None):
        self.send_response(status)
        if session:
            self.send_header("mcp-session-id", session.name)
        self.send_header(*(("content-type", "text/event-stream") if length is None else ("content-length", str(length))))
        self.end_headers()

    def tell(self, line):
        self.wfile.write(("event: message\ndata: %s\n\n" % line).encode())
        self.wfile.flush()

    def do_GET(self):
        session = SESSIONS.get(self.headers.get("mcp-session-id"))
        if session is None:
            return self.head(404, length=0)
        self.head(200)
        while True:
            self.tell(session.unasked.get())

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        several = message if isinstance(message, list) else [message]
        session = SESSIONS.get(self.headers.get("mcp-session-id"))
        if several[0].get("method") == "initialize":
            session = Session()
            SESSIONS[session.name] = session
            with open("met.log", "a") as log:
                log.write(json.dumps(several[0]["params"]["clientInfo"]) + "\n")
        if session is None:
            return self.head(404, length=0)
        asked = [each for each in several if "id" in each and "method" in each]
        if not asked:
            for each in several:
                session.say(each)
            return self.head(202, length=0)
        if isinstance(message, list) and "STREAMED" not in os.environ:
            lines = [line for each in asked for line in session.ask(each)]
            body = ("[%s]" % ", ".join(lines)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.head(200, session)
        for each in asked:
            for line in session.ask(each):
                self.tell(line)


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    for session in SESSIONS.values():
        session.tools.kill()
    os._exit(0)


class Client:
    def __init__(self, url):
        self.url, self.session, self.listens = url, None, False

    def post(self, line):
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self.session:
            headers["mcp-session-id"] = self.session
        request = urllib.request.Request(self.url, line and line.strip().encode(), headers)
        try:
            response = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            # Posts overtake each other: a notification may come behind the request that a replay has stopped at.
            if line and '"id"' in line:
                print("refused: %s" % error, file=sys.stderr)
                os._exit(9)
            return
        with response:
            self.session = response.headers.get("mcp-session-id") or self.session
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                for part in response:
                    if part.startswith(b"data: "):
                        print(part[6:].decode().strip(), flush=True)
            else:
                body = response.read().decode()
                for message in (json.loads(body) if body.startswith("[") else [body] if body else []):
                    print(message if isinstance(message, str) else json.dumps(message), flush=True)

    def carry(self):
        for line in sys.stdin:
            threading.Thread(target=self.post, args=(line,), daemon=True).start()
            if "notifications/initialized" in line and not self.listens:
                self.listens = True
                threading.Thread(target=self.post, args=(None,), daemon=True).start()


Client(sys.argv[2]).carry() if sys.argv[1] == "carry" else serve()
