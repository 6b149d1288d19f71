"""Three conversations of two turns at once, in a random order, then one that sums their answers up."""

import json
import os
import random
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor


def ask(messages):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "small", "messages": messages}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


def branch(question):
    time.sleep(random.random() / 20)
    messages = [{"role": "user", "content": question}]
    messages += [ask(messages), {"role": "user", "content": "and more of " + question}]
    return ask(messages)["content"]


with ThreadPoolExecutor(3) as pool:
    answers = list(pool.map(branch, ["a", "of two", "the third one"]))
print(ask([{"role": "user", "content": "sum up " + " ".join(answers)}])["content"])
