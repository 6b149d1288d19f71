"""A client and a server of the Model Context Protocol that do not behave: `client MODE COMMAND…`, `server MODE`."""

import json
import os
import signal
import subprocess
import sys
import time

role, mode = sys.argv[1], sys.argv[2]
GARBAGE = [
    b"\xff\xfe\x00binary\x80",
    b"not json",
    b"{",
    b"[]",
    b"null",
    b"[" * 2000,
    b'{"jsonrpc":"2.0","id":"nobody","result":{}}',
    b'{"jsonrpc":"1.0","id":1,"method":"x"}',
    b'{"jsonrpc":"2.0","result":{}}',
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}',
    b"x" * 1_000_000,
]


def write(to, line):
    to.write(line + b"\n")
    to.flush()


def serve():
    out = sys.stdout.buffer
    if mode == "deaf":
        time.sleep(600)
    for line in sys.stdin.buffer:
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(asked, dict) or "id" not in asked or asked.get("method") != "tools/call":
            continue
        if mode == "endless":
            piece = b"x" * (1 << 20)
            for _ in range(300):
                out.write(piece)
            time.sleep(600)
        if mode == "garbage":
            for bad in GARBAGE:
                write(out, bad)
        answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": asked["params"]["arguments"]}).encode()
        write(out, answer)
        if mode == "garbage":
            write(out, answer)


def heard(server, number):
    for line in server.stdout:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            print("no message:", line[:40])
            continue
        if isinstance(message, dict) and message.get("id") == number and "method" not in message:
            return message
    return None


def ask():
    server = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if mode == "deaf":
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": "x" * 1_000_000}}
        write(server.stdin, json.dumps(call).encode())
        time.sleep(1)
        server.send_signal(signal.SIGTERM)
        print("ended", server.wait(timeout=30))
        return
    for number in range(3):
        if mode == "rude":
            for bad in GARBAGE:
                write(server.stdin, bad)
        call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "t", "arguments": {"n": number}}}
        write(server.stdin, json.dumps(call).encode())
        message = heard(server, number)
        print(json.dumps(message and message.get("result", message.get("error"))))
        if message is None:
            break
    server.stdin.close()
    print("exit", server.wait(timeout=30))


serve() if role == "server" else ask()
