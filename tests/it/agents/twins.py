"""Two threads that ask the same, and then again; then one question that quotes what they were told, in order of completion,
or SORTED."""

import json
import os
import threading
import urllib.request


def ask(messages):
    body = json.dumps({"model": "small", "messages": messages}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


answers = []


def vote():
    messages = [{"role": "user", "content": "Vote on a lamp."}]
    messages += [ask(messages), {"role": "user", "content": "Are you sure?"}]
    answers.append(ask(messages)["content"])


threads = [threading.Thread(target=vote) for _ in "ab"]
# The first is done before the second begins, so that a run has an order.
for thread in threads:
    thread.start()
    thread.join()
if os.environ.get("SORTED"):
    answers.sort()
print(ask([{"role": "user", "content": "All said: " + json.dumps(answers)}])["content"])
