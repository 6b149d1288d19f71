"""Asks each of QUESTIONS (separated by |) in a conversation of its own; SWALLOW=1 goes on after an error."""

import json
import os
import sys
import urllib.error
import urllib.request

for question in os.environ["QUESTIONS"].split("|"):
    body = {"model": "small", "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            print(json.load(response)["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        print("error", error.code, error.headers.get("x-should-retry"), error.read().decode())
        if os.environ.get("SWALLOW") != "1":
            sys.exit(7)
    except OSError as error:
        print("gone", type(error).__name__)
