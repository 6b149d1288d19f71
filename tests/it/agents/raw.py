"""Asks once (or TRIES times) with nothing but a socket's worth of HTTP, and prints what came of it."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

base = urlsplit(os.environ["OPENAI_BASE_URL"])
body = {"model": "small", "messages": [{"role": "user", "content": os.environ.get("PROMPT", "hello")}]}
if os.environ.get("STREAM") == "1":
    body["stream"] = True

for _ in range(int(os.environ.get("TRIES", "1"))):
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=float(os.environ.get("PATIENCE", "60")))
    status = 0
    try:
        connection.request(
            "POST", base.path + "/chat/completions", json.dumps(body), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        status, wait = response.status, response.getheader("retry-after")
        print("status", status, response.getheader("x-request-id"))
        print("body", response.read().decode())
        if wait:
            time.sleep(float(wait))
    except http.client.IncompleteRead as error:
        print("broken off after", error.partial.decode())
    except OSError as error:
        # A replay ends a hang at once: no answer all the same.
        print("no answer" if os.environ.get("VAGUE") else type(error).__name__)
    if os.environ.get("SAY"):
        print("waited", wait)
    if status == 200:
        break
